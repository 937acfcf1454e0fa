"""The leaf: settings, errors, outcomes, and which text can be stored. Imported by all, imports none."""
