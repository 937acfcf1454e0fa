"""`make rows`: how to keep a million chats in PostgreSQL, measured: one table or one a month, and which indexes."""
