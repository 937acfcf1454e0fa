"""Thousands of chats end in every way there is, and the worker must hold no more than before: `make leak-test`."""
