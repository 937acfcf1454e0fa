"""A Groq in one process: its wire format, speed, limits, refusals and failures, for demos, tests and load tests.

    python -m app.simulator --port 9100
    GROQ_API_KEY=any GROQ_BASE_URL=http://127.0.0.1:9100/openai/v1

The serving path never imports it. docs/groq.md has the sources of what it imitates.

    app.py           the HTTP endpoints, those that make it fail, and the server, also in a thread beside the service
    models.py        the models that it serves, their speed and prices
    request.py       what a request may contain, and how other requests are refused
    answers.py       what is answered: text, reasoning, tool calls, token counts
    json_values.py   JSON that fits a schema
    wire.py          Groq's formats: chunks and completions
    errors.py        Groq's errors
    responses.py     when each byte of an answer is sent, and what goes wrong with it
    faults.py        the script of failures
    limits.py        rate limits and their headers, and the prompt cache
"""
