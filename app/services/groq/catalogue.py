"""Groq's catalogue: which models exist and what they cost, read at the start and every hour.

It never refuses a request: one for an unknown model is sent to Groq, which refuses it or not.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec
import structlog

from app.core.background import background_task
from app.core.config import Settings
from app.core.models import LAST_KNOWN_PRICES, RETIRED_MODELS, Model, ModelPrice
from app.services.groq.http import read_body

_TIMEOUT_S = 10
_RETRY_S = 60
_MAX_BYTES = 2**22
_NO_CATALOGUE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_MILLION = 1_000_000

log = structlog.get_logger(__name__)


class Catalogue:
    """One per process. Empty until Groq has answered, and where the upstream has no `/models`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: dict[str, Model] = {}

    def refreshing(self, session: aiohttp.ClientSession) -> AbstractAsyncContextManager[None]:
        """Reads the catalogue in the background: neither the start nor a chat waits for it."""
        if self._settings.worker_slot == 0:
            self._log_mapped_models()
        return background_task(self._refresh(session), name="catalogue")

    def models(self) -> Sequence[Model]:
        """Returns the models that clients may use. Until Groq has answered: those that settings and prices name."""
        names = self._settings.configured_models | self._settings.model_prices.keys() | LAST_KNOWN_PRICES.keys()
        known = self._models or {name: Model(name) for name in names}
        return [known[name] for name in sorted(known) if self._settings.serves(name)]

    def find(self, name: str) -> Model | None:
        """Returns the model with this id or alias, if clients may use it."""
        model_id = self._settings.model_id(name)
        return next((model for model in self.models() if model.id == model_id), None)

    def knows(self, model_id: str) -> bool:
        """Whether Groq, or the last known prices of this version, have a model with this id."""
        return model_id in self._models or model_id in LAST_KNOWN_PRICES

    def price(self, model_id: str) -> ModelPrice | None:
        """Returns US dollars per million tokens: of `MODEL_PRICES`, else the catalogue, else the last known."""
        if configured := self._settings.model_prices.get(model_id):
            return configured
        model = self._models.get(model_id)
        return (model and model.price) or LAST_KNOWN_PRICES.get(model_id)

    @property
    def missing(self) -> Mapping[str, str]:
        """The models that the settings name and the catalogue lacks, by setting."""
        if not self._models:
            return {}
        settings = self._settings
        named = {"GROQ_DEFAULT_MODEL": settings.groq_default_model, "GROQ_FALLBACK_MODEL": settings.groq_fallback_model}
        if settings.groq_model_aliases != RETIRED_MODELS:  # its default names no model that the operator chose
            named |= {f"GROQ_MODEL_ALIASES ({name})": target for name, target in settings.groq_model_aliases.items()}
        ids = {setting: settings.model_id(name) for setting, name in named.items() if name}
        return {setting: model_id for setting, model_id in ids.items() if model_id not in self._models}

    def _log_mapped_models(self) -> None:
        for setting in ("groq_default_model", "groq_fallback_model"):
            name = getattr(self._settings, setting)
            if name in RETIRED_MODELS and (model := self._settings.model_id(name)) != name:
                hint = f"Groq has retired this model; set {setting.upper()} to its successor, which is used instead"
                log.warning("model.mapped", setting=setting.upper(), requested_model=name, model=model, hint=hint)

    async def _refresh(self, session: aiohttp.ClientSession) -> None:
        reported: Mapping[str, str] = {}
        while True:
            pause_s = self._settings.groq_catalogue_refresh_s
            try:
                self._models = await self._fetch(session) or self._models
            except Exception as exc:  # noqa: BLE001 - whatever Groq sent, the next one may be valid
                log.warning("catalogue.refresh_failed", error=f"{type(exc).__name__}: {exc}"[:200])
                pause_s = min(_RETRY_S, pause_s)
            if self.missing and self.missing != reported:
                hint = "Groq does not serve these models; GET /v1/models lists those that it does"
                log.warning("model.not_served", missing=dict(self.missing), hint=hint)
            reported = self.missing
            await asyncio.sleep(pause_s)

    async def _fetch(self, session: aiohttp.ClientSession) -> dict[str, Model]:
        """Raises aiohttp's errors, TimeoutError, or ValueError for what is not a list of models."""
        url = f"{self._settings.groq_endpoint[0]}/models"
        async with asyncio.timeout(_TIMEOUT_S), session.get(url, allow_redirects=False) as response:
            if response.status in _NO_CATALOGUE:
                return {}
            if response.status != HTTPStatus.OK:
                raise ValueError(f"Groq answered with status {response.status}")
            body = await read_body(response, max_bytes=_MAX_BYTES)
        if len(body) > _MAX_BYTES:
            raise ValueError(f"the catalogue is longer than {_MAX_BYTES} bytes")
        return {model.id: model for model in parse_catalogue(body)}


def parse_catalogue(body: bytes) -> list[Model]:
    """Returns the models of a response to `GET /models`, without invalid entries.

    Raises ValueError for what is not a list of models.
    """
    content = msgspec.json.decode(body)
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is not a list of models")  # noqa: TRY004 - the response is invalid, not an argument
    usable = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
    return [Model(entry["id"], entry, _price(entry.get("pricing"))) for entry in usable if entry.get("active", True)]


def _price(pricing: Any) -> ModelPrice | None:
    """Converts Groq's dollars per token, which are strings; None if a part is missing or invalid."""
    if not isinstance(pricing, dict):
        return None
    try:
        per_token = {name: float(pricing[name]) for name in ("prompt", "completion")}
        cached = pricing.get("input_cache_read")
        return ModelPrice(
            input=round(per_token["prompt"] * _MILLION, 9),
            output=round(per_token["completion"] * _MILLION, 9),
            cached_input=None if cached is None else round(float(cached) * _MILLION, 9),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
