"""Brings the database up to date, through Alembic and the migrations beside `app/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from app.core.config import Settings

_PROJECT = Path(__file__).parents[2]


def upgrade(settings: Settings) -> None:
    """Runs an event loop of its own: not to be called from within one. Raises what the driver raises."""
    config = Config(_PROJECT / "alembic.ini")
    config.attributes["settings"] = settings
    command.upgrade(config, "head")
