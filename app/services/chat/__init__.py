"""One chat: its session, times, limits and usage. `ports.py` states what it needs from other packages."""
