"""The settings: every limit and address of the service. A field's environment variable is its name in capitals.

`environment.py` reads them.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from app.core.groq_settings import GroqSettings
from app.core.http_settings import HttpSettings
from app.core.setting_types import Count, DatabaseUrl, Host, Seconds

_EMBEDDED_DATABASE = "sqlite+aiosqlite:///data/chats.db"


def _row_bytes(body_bytes: int, answer_bytes: int) -> int:
    """The most that a row can take: the last message is stored twice, and JSON text may double in size."""
    return 4 * body_bytes + answer_bytes


class Settings(GroqSettings, HttpSettings):
    """Everything that may differ between deployments. Frozen: settings do not change while the service runs."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    # ── The service ──────────────────────────────────────────────────────────────────────────────────────────────
    app_env: Literal["development", "production"] = "development"
    host: Host = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    max_header_bytes: int = Field(default=2**16, gt=0)
    """64 KiB: the longest cookies and tokens that proxies pass on have 8 to 32."""
    header_timeout_s: Seconds = 10
    """The longest time for receiving the headers of a request, which fit into a packet or two."""
    web_concurrency: int = Field(default=2, ge=1, le=255)
    """Workers of `make serve`. A busy worker uses one core."""
    worker_slot: int = Field(default=0, ge=0, le=510)
    """The lowest free number of a worker on its machine, from 0; during a reload there are up to twice as many workers.
    `make serve` sets it (deploy/gunicorn.conf.py)."""
    drain_delay_s: float = Field(default=1, ge=0, le=4)
    """How long a worker of gunicorn accepts chats after SIGTERM: in a reload, the new workers may not listen yet. At
    most 4, because it is part of the five seconds by which gunicorn's time limit is longer than uvicorn's."""
    drain_timeout_s: Seconds = 20
    """How long running chats may take to finish after SIGTERM or SIGINT. uvicorn waits five seconds longer, gunicorn
    ten, and the container fifteen."""

    # ── One chat ─────────────────────────────────────────────────────────────────────────────────────────────────
    chat_timeout_s: Seconds = 300
    inter_token_timeout_s: Seconds = 15
    """The longest time between two chunks: one without a token counts, too."""
    chat_max_answer_bytes: Count = 2**20
    """1 MiB: longer than the longest answer of any model. Every value of a delta counts."""
    chat_max_stream_bytes: Count = 2**27
    """128 MiB of a stream with its JSON, which has some 300 bytes for each token: 131,072 tokens take 50 MB."""
    stream_keepalive_s: Seconds = 10
    """The interval of SSE comments while no token arrives, so that proxies do not close the connection."""
    client_write_timeout_s: Annotated[Seconds, Field(le=86_400)] = 30
    """How long a client may accept no data before its chat is ended."""
    client_buffer_bytes: Annotated[int, Field(ge=4096, le=2**30)] = 2**17
    """128 KiB: the kernel's send buffer of a connection. When it is full, the service stops reading from Groq. The
    kernel's default of 4 MB is more than most answers: a client that reads nothing would not be noticed."""
    stream_flush_ms: Annotated[float, Field(ge=0, le=1000)] = 16
    """The shortest time between two blocks of a stream after its first token: one frame of a screen; 0 relays every
    read. Ends and errors are not delayed. An overloaded worker uses up to 250 ms."""
    max_active_streams: Count = 512
    """Running chats of each worker, streamed or not."""
    max_queued_chats: Annotated[int, Field(ge=0)] = 32
    """Chats that may wait until a running one ends; further ones are refused with 503 and `Retry-After`."""
    queue_timeout_s: Seconds = 0.05
    """How long a chat may wait until a running one ends: a fraction of the time to first token."""

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────
    database_url: DatabaseUrl = SecretStr(_EMBEDDED_DATABASE)
    database_connect_timeout_s: Seconds = 5
    commit_timeout_s: Seconds = 2
    commit_max_rows: Count = 500
    chat_log_api: bool = True
    """Serves stored chats (`GET /v1/chat/completions`) to the key that sent them. Switch it off where one key has many
    users, such as a key in a web page."""
    read_connections: Count = 2
    """Connections of each worker for reading stored chats, apart from those for commits."""
    read_timeout_s: Annotated[Seconds, Field(le=86_400)] = 2
    """The longest time for reading stored chats, including the wait for a connection: a page takes milliseconds."""
    chat_log_content: Literal["full", "none"] = "full"
    """`none` stores no prompts and answers, in the outbox too. A request with `"store": false` does so for one chat."""
    outbox_dir: Path = Path("data/outbox")
    """Where rows wait while PostgreSQL is unavailable: a folder on a disk of this machine that outlives the process,
    one for all of its workers. SQLite as the database needs none."""
    outbox_max_bytes: Count = Field(default=2**32, validate_default=True)
    """4 GiB for all workers of a machine: rows that wait or were rejected, and space for those of running chats, which
    are 1 MiB each and four times the request."""
    outbox_timeout_s: Seconds = 5
    """How long the disk may take for one commit: a busy disk needs tenths of a second, one that hangs never ends."""

    # ── Signals ──────────────────────────────────────────────────────────────────────────────────────────────────
    metrics_host: Host = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """Worker n serves its metrics on this port plus n."""
    metrics_timeout_s: Seconds = 10
    """How long one scrape may take, from its connection on: Prometheus' default timeout."""
    metrics_max_connections: Count = 16
    """Connections that a worker's metrics port accepts; each takes a thread. Several Prometheus servers need fewer."""
    trace_file: Path | None = None
    """The file for spans if there is no collector. `make run` uses data/traces.jsonl."""
    trace_flush_timeout_s: Seconds = 3
    """How long a stopping process may take to send its last spans."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto` is `console` on a terminal and `json` elsewhere."""
    log_queue_bytes: Count = 2**22
    """4 MiB of each process: 3,000 chats, about ten seconds of a worker at its busiest. A reader that restarts misses
    nothing."""
    log_flush_timeout_s: Seconds = 1
    """How long a process that ends waits for its last lines to be written. A reader that reads takes milliseconds; with
    TRACE_FLUSH_TIMEOUT_S it stays below the five seconds that a stop leaves for both."""
    log_refusals_per_s: Count = 10
    """Lines of one kind that clients without a valid key can cause: enough to see what happens and from where."""

    @field_validator("inter_token_timeout_s")
    @classmethod
    def _exceeds_end_timeout(cls, limit_s: float, others: ValidationInfo) -> float:
        if limit_s <= (end_s := others.data.get("groq_end_timeout_s", 0)):
            raise ValueError(f"use more than GROQ_END_TIMEOUT_S, which is {end_s:g}")
        return limit_s

    @field_validator("outbox_max_bytes")
    @classmethod
    def _has_space_for_a_chat(cls, limit: int, others: ValidationInfo) -> int:
        least = _row_bytes(others.data.get("max_body_bytes", 0), others.data.get("chat_max_answer_bytes", 0))
        if limit < least:
            raise ValueError(f"the largest chat may need {least}, by MAX_BODY_BYTES and CHAT_MAX_ANSWER_BYTES")
        return limit

    @property
    def stores_content(self) -> bool:
        """Whether rows have content, unless a request has `"store": false`."""
        return self.chat_log_content == "full"

    @property
    def shows_docs(self) -> bool:
        """Whether `/docs` and `/openapi.json` are served."""
        return self.app_env == "development" if self.api_docs is None else self.api_docs

    @property
    def shows_page(self) -> bool:
        """Whether the page at `/` is served."""
        return self.app_env == "development" if self.page is None else self.page

    def row_bytes(self, body_bytes: int) -> int:
        """The most bytes that the row of a chat with such a body can take."""
        return _row_bytes(body_bytes, self.chat_max_answer_bytes)

    @property
    def commit_limit_s(self) -> float:
        """The time limit of a commit. SQLite has ten times as long, because there is no outbox for its rows."""
        return self.commit_timeout_s * (1 if self.embedded_database is None else 10)

    @property
    def embedded_database(self) -> Path | None:
        """The SQLite file, if the database is one."""
        scheme, _, path = self.database_url.get_secret_value().partition(":///")
        return Path(path) if scheme.startswith("sqlite") else None

    @property
    def database_name(self) -> str:
        """The database's address without user and password."""
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        without_query = rest.partition("?")[0]
        return str(self.embedded_database or f"{scheme.partition('+')[0]}://{without_query.rpartition('@')[2]}")
