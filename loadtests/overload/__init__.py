"""Three times as many clients as there are places: do those who are let in notice?

    __main__.py   the command: `make overload`
    client.py     one connection that asks, reads, and comes back when it is told to
    crowd.py      many of them for a while, and what they saw
    table.py      how it is told

The service runs with all signals on, with one worker, on PostgreSQL. Groq is the simulator, at the pace of a reader.
"""
