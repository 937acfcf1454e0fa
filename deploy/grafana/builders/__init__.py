"""Functions that return Grafana's JSON: queries, panels, dashboards."""
