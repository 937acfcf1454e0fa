"""The dashboards, one module each: `DASHBOARD` is its JSON."""
