"""Settings of Groq: its address and key, models, timeouts and retries."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from app.core.models import RETIRED_MODELS, ModelPrice
from app.core.setting_types import Count, HeaderSecret, HttpUrl, JsonObject, ModelId, Names, Seconds, SecondsOrZero


class GroqSettings(BaseSettings):
    """Part of the Settings in config.py."""

    groq_api_key: HeaderSecret | None = None
    groq_base_url: HttpUrl = "https://api.groq.com/openai/v1"
    groq_simulator_url: HttpUrl | None = None
    """A simulator that is used while `GROQ_API_KEY` is not set."""
    groq_simulator_tokens_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The speed of the simulator, which the page shows. `make run` starts its own at 100: one sees it stream."""
    groq_default_model: ModelId = "openai/gpt-oss-20b"
    groq_model_aliases: Annotated[dict[str, ModelId], *JsonObject] = Field(default=RETIRED_MODELS)
    """Names that clients may use for a model, and its id at Groq. Set `{}` for an enterprise account, which still has
    the retired models."""
    groq_connect_timeout_s: Seconds = 5
    """The longest time for a connection: the lookup of the name, all of its addresses, and TLS, which takes seconds
    where a worker opens hundreds of connections at the same moment."""
    groq_first_token_timeout_s: Seconds = 20
    """The longest time from the request to the first token of a stream, for each attempt. Groq streams reasoning within
    a second; 20 s is many times its longest queue, and leaves time for a retry."""
    groq_hidden_reasoning_timeout_s: Seconds = 120
    """The longest time to the first token of a request that hides the reasoning (`include_reasoning: false`,
    `reasoning_format: "hidden"`): the model sends nothing while it reasons, and gpt-oss-120b needs 120 s for 60,000
    tokens at 500 tokens a second."""
    groq_end_timeout_s: Seconds = 0.9
    """How long the `[DONE]` of a stream may take after its last finish_reason. The answer is complete without it."""
    groq_max_attempts: int = Field(default=3, ge=1, le=5)
    groq_retry_sleep_budget_s: SecondsOrZero = 15
    """The total sleep between the attempts of one chat. A longer `Retry-After` ends the chat at once."""
    groq_retry_deadline_s: Seconds = 45
    """The longest time until the first token, for all attempts of a chat and the sleep between them."""
    groq_fallback_model: ModelId | None = None
    """The model of one more attempt after the last one failed, or if Groq has retired a model of these settings."""
    groq_catalogue_refresh_s: Seconds = 3600
    """How often the catalogue of models and prices is read from Groq."""
    allowed_models: Annotated[tuple[str, ...], *Names] = Field(default=(), validate_default=True)
    """The models that clients may use, as ids or aliases. By default all that Groq serves."""
    groq_max_event_bytes: Count = 2**20
    """1 MiB: a longer event ends the stream, so that memory is bounded."""
    model_prices: Annotated[dict[str, ModelPrice], *JsonObject] = Field(default={})
    """Prices in US dollars per million tokens. They override Groq's catalogue; `core/models.py` has the last known
    prices for models without a price in either."""

    @field_validator("allowed_models")
    @classmethod
    def _have_the_default(cls, allowed: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        """Replaces aliases by ids."""
        aliases = others.data.get("groq_model_aliases", {})
        ids = tuple(dict.fromkeys(aliases.get(name, name) for name in allowed))
        for setting in ("groq_default_model", "groq_fallback_model"):
            model = others.data.get(setting)
            if ids and model and aliases.get(model, model) not in ids:
                raise ValueError(f"'{model}' has to be one of them, as {setting.upper()} names it")
        return ids

    @property
    def default_model(self) -> str:
        """The model of requests that name none."""
        return self.groq_default_model

    @property
    def configured_models(self) -> frozenset[str]:
        """The ids of the default, the fallback and the targets of aliases."""
        named = {self.groq_default_model, self.groq_fallback_model or self.groq_default_model}
        return frozenset(map(self.model_id, named)) | frozenset(self.groq_model_aliases.values())

    def model_id(self, name: str) -> str:
        """The provider's id of a model, by its id or an alias."""
        return self.groq_model_aliases.get(name, name)

    def serves(self, name: str) -> bool:
        """Whether clients may use this model, by its id or an alias."""
        return not self.allowed_models or self.model_id(name) in self.allowed_models

    @property
    def is_simulated(self) -> bool:
        """Whether a simulator is used instead of Groq."""
        return self.groq_api_key is None and self.groq_simulator_url is not None

    @property
    def groq_endpoint(self) -> tuple[str, str]:
        """The base URL and the key of Groq, or of the simulator if there is no key. Raises ValueError without both."""
        if self.groq_api_key is not None:
            return self.groq_base_url, self.groq_api_key.get_secret_value()
        if self.groq_simulator_url is None:
            raise ValueError("GROQ_API_KEY is not set, and GROQ_SIMULATOR_URL names no simulator")
        return self.groq_simulator_url, "simulated"
