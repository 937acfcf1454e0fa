"""The dashboards: each has a module with its JSON in `DASHBOARD`."""
