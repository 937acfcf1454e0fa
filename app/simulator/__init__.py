"""A Groq that fits in a process: its wire format, speed, limits, refusals and failures, for demos, tests and load.

    python -m app.simulator --port 9100
    GROQ_API_KEY=any GROQ_BASE_URL=http://127.0.0.1:9100/openai/v1

Law: the serving path never imports it. What it does wrong is scripted over HTTP, see `faults.py`.

    app.py           the HTTP surface
    server.py        how it is run: as a process, or in a thread beside the service
    models.py        which models it serves, how fast, and for how much
    request.py       the fields of a request, and their types
    checks.py        what is refused, in Groq's words, with the source of each
    answers.py       what is answered: words, reasoning, tool calls, counts of tokens
    json_values.py   JSON that fits a schema
    prompt_cache.py  how much of a prompt was read before
    wire.py          how Groq writes it down: chunks, the whole completion, error bodies
    stream.py        a streamed answer: when each byte is sent, and what goes wrong on the way
    whole.py         the same for an answer in one object
    delivery.py      bytes to a client, as long as it is there
    refusals.py      errors by status and by rate limit
    faults.py        the script of failures
    scripted.py      what it sends instead of an answer
    limits.py        the rate-limit buckets and their headers
"""
