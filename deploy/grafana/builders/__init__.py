"""What dashboards are made of: queries, panels, and the page that lays them out."""
