"""The leaf: settings, errors, outcomes, the record of a chat, and which text can be stored. Imports no other room."""
