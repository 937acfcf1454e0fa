"""Rows on PostgreSQL and on SQLite; the writer satisfies `services.chat.ports.RecordStore`.

writer.py          the group commit
commits.py         one commit within its timeout, and whether the database takes rows
outbox.py          rows that wait for PostgreSQL, off the event loop
outbox_file.py     their SQLite file: queries and transactions; outbox_folder.py: its folder, locks and replacement
reservations.py    what running chats may still need of the outbox
replay.py          moves rows from the outbox to the database
"""
