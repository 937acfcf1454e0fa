"""The queries, one table a module."""
