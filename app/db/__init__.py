"""Rows: one model, one repository, one writer, on PostgreSQL and on SQLite. It satisfies `chat.ports.ChatLog`."""
