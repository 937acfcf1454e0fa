"""Whether anything leaks, however a chat ends: thousands of chats with every ending, and the worker looked into.

    plan.py       how many chats, from which seed
    endings.py    the ways to end: what Groq does, what the client does, what the row has to say
    groq.py       the simulated Groq, with a model for each ending
    app.py        the service, with a view of what lives inside it
    stage.py      the real things: PostgreSQL, that Groq, a collector of spans, gunicorn with one worker
    readers.py    clients that wait for the end
    leavers.py    clients that do not
    closing.py    how soon Groq is let go of when a client leaves
    inside.py     the worker's memory, descriptors, sockets, threads and tasks
    run.py        all of it, thousand by thousand
    verdict.py    what is too much, and what does not add up
    table.py      how it is told

The command is `make endings`.
"""
