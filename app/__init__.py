"""A streaming LLM API: Groq's chat completions over SSE, and a durable row for every chat.

The path of one chat:

    client ──POST──▶ api/v1/endpoints/chat.py    after api/auth.py: key, quota, body
                       │ ChatRequest
                       ▼
                     services/chat_service.py    admit → open → relay → store the row → [DONE]
                       │            ▲ blocks of bytes         │ ChatRecord
                       ▼            │                         ▼
                     GroqClient ─── Groq           db/writer.py ─── PostgreSQL (or SQLite)

The provider's bytes are relayed in blocks, unchanged, and parsed once. The last event, `data: [DONE]`, is sent when the
row is durable. Without `stream` the provider's JSON is returned unchanged (api/openai_compat.py).

The provider is Groq, or a service with its API. Names with `upstream` are those of the requests to it and of its
answers; names with `groq` are those of its client, its settings and its signals.

Packages, from the outermost layer to the innermost; each imports only those below it:

    __main__.py, commands/   `python -m app`: the service, and commands beside it
    main.py                  create_app(settings): builds the objects of the process, closes them in reverse
    serving/                 uvicorn and gunicorn: limits of HTTP, checks before the start, the drain
    api/                     endpoints, authentication, the SSE response, errors, the page at `/`
    db/ quota/               database and outbox; quotas in memory or Redis
    simulator/               a Groq in one process, for demos and tests; only `python -m app` imports it
    services/                ChatService and GroqClient; chat/ports.py has the protocols between them
    schemas/                 the request in OpenAI's format
    observability/           traces, metrics and logs behind one facade
    core/                    settings, errors, outcomes, the record of a chat
"""

__version__ = "0.1.0"

NAME = "groq-stream"
"""The name of the service in traces, metrics and logs."""

TITLE = "Groq, streamed"
"""The name of the service on pages and in the terminal."""
