"""A Groq that fits in a process: its wire format, pace, limits and failures, for demos, tests and load.

    python -m app.simulator --port 9100
    GROQ_API_KEY=any GROQ_BASE_URL=http://127.0.0.1:9100/openai/v1

Law: the serving path never imports it. What it does wrong is scripted over HTTP, see `faults.py`.

    app.py        the HTTP surface
    server.py     how it is run: as a process, or in a thread beside the service
    models.py     which models it serves, and their pace
    request.py    what is taken
    answers.py    what is answered: words, reasoning, tool calls, counts of tokens
    wire.py       how Groq writes it down: chunks, the whole completion, error bodies
    stream.py     when each byte is sent, and what goes wrong on the way
    refusals.py   what is refused, in Groq's words
    faults.py     the script of failures
    limits.py     the rate-limit buckets and their headers
"""
