"""Programs that put the service under load, and look at what comes of it. README.md lists their commands."""
