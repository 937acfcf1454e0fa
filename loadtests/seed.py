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
from tests.support.records import record

_BATCH = 1000
_PERIOD = timedelta(days=365)
_MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.6-27b")
_OUTCOMES = (Outcome.COMPLETED, Outcome.CLIENT_DISCONNECTED, Outcome.UPSTREAM_ERROR, Outcome.UPSTREAM_TIMEOUT)
_WORDS = ("sky", "blue", "light", "air", "short", "long", "wave", "eye", "reaches", "scatters", "from", "every", "side")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.seed", description="Fills chat_logs with made-up chats.")
    parser.add_argument("--rows", type=int, default=100_000, help="number of rows (default: %(default)s)")
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
    """Two kilobytes on average, mostly the answer. Half of the chats have no client, which is the longest list."""
    [outcome] = rng.choices(_OUTCOMES, weights=(94, 4, 1, 1))
    model, tokens, milliseconds = rng.choice(_MODELS), rng.randint(20, 600), int(at.timestamp() * 1000)
    question, response = (" ".join(rng.choices(_WORDS, k=words)) for words in (rng.randint(5, 60), tokens))
    return record(
        id=UUID(int=milliseconds << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)),
        created_at=at, client=rng.choice((None, f"client-{rng.randrange(20)}")), outcome=outcome,
        trace_id=f"{rng.getrandbits(128):032x}",
        requested_model=model, model_name=model, prompt=question, response=response, tool_calls=None,
        error_code=None if outcome is Outcome.COMPLETED else "upstream_broken", client_left_at=None,
        end_user=rng.choice((None, f"user-{rng.randrange(5000)}")),
        upstream_response_id=f"chatcmpl-{UUID(int=rng.getrandbits(128))}",
        messages=Raw(json.encode([{"role": "user", "content": question}])), completion_tokens=tokens,
        cost_usd=tokens * 3e-7, ttft_ms=rng.uniform(20, 900), duration_ms=rng.uniform(1000, 4000), attempt_log=None,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
