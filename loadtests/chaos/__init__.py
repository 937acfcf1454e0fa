"""Whether `[DONE]` keeps its word: everything breaks under load, and every receipt's row is looked for at the end.

    plan.py       how much load, how often trouble, from which seed
    stage.py      the real things: PostgreSQL, a simulated Groq, gunicorn with two workers
    clients.py    who asks: most read to the end, some hang up, some stop reading
    answer.py     what one client has read of one answer
    trouble.py    what goes wrong with workers, database and Groq
    diary.py      what happened, as clients and troubles saw it
    storm.py      all of it at once
    verdict.py    the diary and the rows, compared
    table.py      how it is told

The command is `make chaos`.
"""
