"""Rows on this machine's disk while the database is away, and their way back.

segment.py   one file of rows, and its lock
folder.py    the segments of a process, those that dead ones left, and the rows that the database refused
spool.py     the same, off the event loop, and bounded
backlog.py   moves rows back when the database is well
"""
