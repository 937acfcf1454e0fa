"""`python -m loadtests.seed --rows 100000`: fills `chat_logs` of DATABASE_URL with plausible chats of the last year."""

import argparse
import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Raw, json

from app.commands.migrate import migrate
from app.core.config import Settings
from app.core.outcomes import Outcome
from app.core.record import ChatRecord
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository

_BATCH = 1000
_PERIOD = timedelta(days=365)
_MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.6-27b")
_OUTCOMES = (Outcome.COMPLETED, Outcome.CLIENT_DISCONNECTED, Outcome.UPSTREAM_ERROR, Outcome.UPSTREAM_TIMEOUT)
_WORDS = ("sky", "blue", "light", "air", "short", "long", "wave", "eye", "reaches", "scatters", "from", "every", "side")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.seed", description="Fills chat_logs with made-up chats.")
    parser.add_argument("--rows", type=int, default=100_000, help="how many (default: %(default)s)")
    rows: int = parser.parse_args().rows
    settings = Settings()
    if settings.app_env == "production":
        print("APP_ENV is production: made-up chats do not belong there. Name a database of yours in DATABASE_URL.")
        return 1
    return migrate(settings) or asyncio.run(_fill(settings, rows))


async def _fill(settings: Settings, rows: int) -> int:
    engine, rng, first = create_engine(settings), random.Random(0), datetime.now(UTC) - _PERIOD
    chats = ChatLogRepository(engine)
    for begin in range(0, rows, _BATCH):
        numbers = range(begin, min(rows, begin + _BATCH))
        await chats.insert([_chat(rng, first + _PERIOD * number / rows) for number in numbers])
    await engine.dispose()
    print(f"{rows:,} chats in {settings.database_name}")
    return 0


def _chat(rng: random.Random, at: datetime) -> ChatRecord:
    """Two kilobytes on average, mostly the answer."""
    [outcome] = rng.choices(_OUTCOMES, weights=(94, 4, 1, 1))
    model, tokens = rng.choice(_MODELS), rng.randint(20, 600)
    question, duration_ms = _text(rng, rng.randint(5, 60)), rng.uniform(100, 4000)
    return ChatRecord(
        id=_uuid7(at, rng), created_at=at, client=f"client-{rng.randrange(20)}", client_request_id=None,
        trace_id=f"{rng.getrandbits(128):032x}",
        requested_model=model, model_name=model, prompt=question, params={"stream": True, "temperature": 0.5},
        messages=Raw(json.encode([{"role": "user", "content": question}])), response=_text(rng, tokens), reasoning=None,
        tool_calls=None, outcome=outcome, error_code=None, http_status=200, finish_reason="stop", prompt_tokens=40,
        completion_tokens=tokens, reasoning_tokens=0, cached_tokens=0, usage_source="upstream", cost_usd=tokens * 3e-7,
        ttft_ms=rng.uniform(20, 900), duration_ms=duration_ms, queue_ms=0.01, attempts=1, upstream_request_id=None,
    )  # fmt: skip


def _uuid7(at: datetime, rng: random.Random) -> UUID:
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62))


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


if __name__ == "__main__":
    sys.exit(main())
