"""The leaf: settings and errors. Imported by all, imports none."""
