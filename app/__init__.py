"""A streaming LLM API: Groq's chat completions over SSE, a durable row for every chat.

The path of one chat, and the room each step lives in:

    client ──POST──▶ api/v1/endpoints/chat.py    parse, hand over
                       │ ChatRequest
                       ▼
                     services/chat_service.py             admit → open → first token → relay → save → [DONE]
                       │            ▲ blocks of bytes         │ ChatRecord: what was asked, what came, how it ended
                       ▼            │                         ▼
                     groq/client.py ── Groq                 db/writer.py ── PostgreSQL (or SQLite)

Groq's bytes are relayed in blocks, as they came; what they mean is read once, in passing. The last event is a
receipt: a client that has read `data: [DONE]` knows that its chat is on disk. Clients of OpenAI's come in by
api/openai_compat.py; without `stream`, Groq is asked for a whole answer, and its JSON is returned as it came.

    main.py         create_app(settings): builds every long-lived thing, closes in reverse; it alone knows everyone
    __main__.py     `python -m app`: the one-command run, and the commands beside it (commands/)
    serving/        uvicorn and gunicorn: how the service is served, and how it stops
    api/            HTTP: endpoints, the SSE response, errors rendered, health, the page at `/`
    chat/           the story; it states the protocols that groq/ and db/ satisfy, and imports neither
    groq/           Groq, as the openai SDK asks it: bytes and facts, retries; it knows no database
    db/             engine, model, repository, and the writer that commits many chats at once
    quota/          how much each caller may ask for, counted in memory or in Redis
    observability/  traces, metrics and logs behind one facade; it imports none of the packages above
    schemas/        the request, in OpenAI's field names
    core/           settings, errors, outcomes, and the record of a chat: imported by all, imports none
    simulator/      a Groq that fits in a process: for demos and tests, never imported by the serving path
"""

__version__ = "0.1.0"
