"""Settings, errors, outcomes, the record of a chat. Imports no other package."""
