"""Settings: every limit and address of the service. How they are read stands in environment.py.

A field's name in capitals is its environment variable: `groq_api_key` is `GROQ_API_KEY`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from app.core.http_settings import HttpSettings
from app.core.models import RETIRED_MODELS, ModelPrice
from app.core.setting_types import (
    Count,
    DatabaseUrl,
    HeaderSecret,
    HttpUrl,
    JsonObject,
    Names,
    Seconds,
    SecondsOrNone,
)
from app.core.signal_settings import SignalSettings

_EMBEDDED_DATABASE = "sqlite+aiosqlite:///data/chats.db"


def _row_bytes(body_bytes: int, answer_bytes: int) -> int:
    """The last message stands in a row twice, and numbers may be written at greater length than they came."""
    return 4 * body_bytes + answer_bytes


class Settings(HttpSettings, SignalSettings):
    """Everything that may differ between two deployments; frozen, so that nothing changes it while it runs."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    # ── The service ──────────────────────────────────────────────────────────────────────────────────────────────
    app_env: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    max_header_bytes: int = Field(default=2**16, gt=0)
    """64 KiB: room for the longest cookies and tokens that proxies pass on, which are 8 to 32."""
    header_timeout_s: Seconds = 10
    """How long a client may take to send its headers, a packet or two; whoever takes longer only holds a connection."""
    web_concurrency: int = Field(default=2, ge=1)
    """Workers of `make serve`; each takes one core when it is busy."""
    worker_slot: int = Field(default=0, ge=0)
    """Which worker of its machine this one is; `make serve` numbers them."""
    drain_timeout_s: Seconds = 20
    """How long running streams may take to finish once the process is told to stop; uvicorn, gunicorn and the container
    wait five seconds longer each."""

    # ── Groq ─────────────────────────────────────────────────────────────────────────────────────────────────────
    groq_api_key: HeaderSecret | None = None
    groq_base_url: HttpUrl = "https://api.groq.com/openai/v1"
    groq_simulator_url: HttpUrl | None = None
    """A simulator that stands in for Groq as long as there is no `GROQ_API_KEY`."""
    groq_default_model: str = "openai/gpt-oss-20b"
    groq_model_aliases: Annotated[dict[str, str], *JsonObject] = Field(default=RETIRED_MODELS)
    """Names that clients may use for a model, and the id that Groq serves it under. `{}` maps nothing: for enterprise
    accounts, which still have the retired models."""
    groq_connect_timeout_s: Seconds = 2
    groq_first_token_timeout_s: Seconds = 20
    """From the request to the first progress of a stream, each attempt. Groq streams reasoning as it comes, within a
    second; 20 s is many times its longest queue, and soon enough to try again."""
    groq_hidden_reasoning_timeout_s: Seconds = 120
    """The same for a request that hides the reasoning (`include_reasoning: false`, `reasoning_format: "hidden"`): the
    model thinks in silence, and gpt-oss-120b needs 120 s for 60,000 tokens at its 500 a second."""
    groq_end_timeout_s: Seconds = 0.9
    """How long the `[DONE]` of a stream may take after its last finish_reason; the answer is whole without it."""
    groq_max_attempts: int = Field(default=3, ge=1, le=5)
    groq_retry_sleep_budget_s: SecondsOrNone = 15
    """How much sleep the retries of one chat may add up to; a longer `Retry-After` ends the chat at once."""
    groq_retry_deadline_s: Seconds = 45
    """All attempts of one chat together, and the waits between them, until the first token."""
    groq_fallback_model: str | None = None
    """What answers when the attempts are spent, or when Groq has retired the model: one more, with this model."""
    groq_catalogue_refresh_s: Seconds = 3600
    """How often Groq is asked which models it serves and what they cost."""
    allowed_models: Annotated[tuple[str, ...], *Names] = Field(default=(), validate_default=True)
    """The only ones that callers may ask for, by either of their names; without any, all that Groq serves."""
    groq_max_event_bytes: Count = 2**20
    """1 MiB: an unfinished event longer than this ends the stream, so that memory stays bounded."""
    model_prices: Annotated[dict[str, ModelPrice], *JsonObject] = Field(default={})
    """In US dollars per million tokens. They override and complete Groq's catalogue; `core/models.py` has the last
    known prices, for models of which neither of the two names one."""

    # ── One chat ─────────────────────────────────────────────────────────────────────────────────────────────────
    chat_timeout_s: Seconds = 300
    inter_token_timeout_s: Seconds = 15
    """The longest silence between two tokens."""
    chat_max_answer_bytes: Count = 2**20
    """1 MiB: longer than any model's longest answer, and what one row has space for. Every value of a delta counts."""
    chat_max_stream_bytes: Count = 2**27
    """128 MiB of a stream as it comes: the JSON around a token takes some 300 bytes, and 131,072 tokens 50 MB."""
    stream_keepalive_s: Seconds = 10
    """A silence that is longer is bridged with comments, so that no proxy takes the connection for dead."""
    client_write_timeout_s: Seconds = 30
    """How long a client may take nothing of what was sent before its chat is ended."""
    client_buffer_bytes: Annotated[int, Field(ge=4096)] = 2**17
    """128 KiB: what the kernel holds for a client that takes its time; beyond it, Groq is made to wait. By default the
    kernel would hold 4 MB, which is more than most answers: nobody would notice a client that reads nothing."""
    stream_flush_ms: Annotated[float, Field(ge=0, le=1000)] = 16
    """After its first token a stream is relayed at most this often: one frame of a screen; 0 relays every read. Ends
    and errors do not wait. A worker that falls behind makes it longer, up to 250, until it has caught up."""
    max_active_streams: Count = 512
    """Per worker."""
    max_queued_chats: Annotated[int, Field(ge=0)] = 32
    """Those that wait for a free place; one more is refused with 503 and `Retry-After`."""
    queue_timeout_s: Seconds = 0.05
    """How long they wait: a fraction of what a first token takes, so that whoever is let in does not feel it."""

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────
    database_url: DatabaseUrl = SecretStr(_EMBEDDED_DATABASE)
    database_connect_timeout_s: Seconds = 5
    commit_timeout_s: Seconds = 2
    commit_max_rows: Count = 500
    chat_log_content: Literal["full", "none"] = "full"
    """Whether rows have what people and models wrote. `none` stores the facts alone, in the spool too; a request with
    `"store": false` asks for the same."""
    spool_dir: Path = Path("data/spool")
    """Where rows wait while the database is away: a disk that outlives the process, of this machine alone."""
    spool_max_bytes: Count = Field(default=2**31, validate_default=True)
    """2 GiB for each worker: the rows that wait, and room for those of the chats that run."""

    @field_validator("spool_max_bytes")
    @classmethod
    def _has_room_for_a_chat(cls, limit: int, others: ValidationInfo) -> int:
        least = _row_bytes(others.data.get("max_body_bytes", 0), others.data.get("chat_max_answer_bytes", 0))
        if limit < least:
            raise ValueError(f"the largest chat may need {least}, by MAX_BODY_BYTES and CHAT_MAX_ANSWER_BYTES")
        return limit

    @field_validator("allowed_models")
    @classmethod
    def _have_the_default(cls, allowed: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        """As ids of Groq's."""
        aliases = others.data.get("groq_model_aliases", {})
        ids = tuple(dict.fromkeys(aliases.get(name, name) for name in allowed))
        for setting in ("groq_default_model", "groq_fallback_model"):
            model = others.data.get(setting)
            if ids and model and aliases.get(model, model) not in ids:
                raise ValueError(f"'{model}' has to be one of them, as {setting.upper()} names it")
        return ids

    @property
    def own_models(self) -> frozenset[str]:
        """The ids that these settings name: the default, the fallback and the targets of aliases."""
        named = {self.groq_default_model, self.groq_fallback_model or self.groq_default_model}
        return frozenset(map(self.groq_model, named)) | frozenset(self.groq_model_aliases.values())

    def groq_model(self, name: str) -> str:
        """The id that Groq serves it under."""
        return self.groq_model_aliases.get(name, name)

    def serves(self, name: str) -> bool:
        """Whether callers may ask for this model, by its id or an alias."""
        return not self.allowed_models or self.groq_model(name) in self.allowed_models

    @property
    def stores_content(self) -> bool:
        """Whether rows have content, unless a request asks for the contrary."""
        return self.chat_log_content == "full"

    @property
    def shows_docs(self) -> bool:
        """Whether the API describes itself."""
        return self.app_env == "development" if self.api_docs is None else self.api_docs

    @property
    def shows_page(self) -> bool:
        """Whether there is a page at `/`."""
        return self.app_env == "development" if self.page is None else self.page

    @property
    def is_simulated(self) -> bool:
        """Whether a simulator stands in for Groq."""
        return self.groq_api_key is None and self.groq_simulator_url is not None

    def row_bytes(self, body_bytes: int) -> int:
        """What the row of a chat with such a body takes at the most."""
        return _row_bytes(body_bytes, self.chat_max_answer_bytes)

    @property
    def groq_endpoint(self) -> tuple[str, str]:
        """The base URL and the key: Groq's, or the simulator's where there is no key. Raises ValueError for neither."""
        if self.groq_api_key is not None:
            return self.groq_base_url, self.groq_api_key.get_secret_value()
        if self.groq_simulator_url is None:
            raise ValueError("GROQ_API_KEY is not set, and GROQ_SIMULATOR_URL names no simulator to stand in")
        return self.groq_simulator_url, "simulated"

    @property
    def embedded_database(self) -> Path | None:
        """The SQLite file, where the database is one."""
        scheme, _, path = self.database_url.get_secret_value().partition(":///")
        return Path(path) if scheme.startswith("sqlite") else None

    @property
    def database_name(self) -> str:
        """The database's address as it may be shown: without user and password."""
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        without_query = rest.partition("?")[0]
        return str(self.embedded_database or f"{scheme.partition('+')[0]}://{without_query.rpartition('@')[2]}")
