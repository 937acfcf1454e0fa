"""Migrates the database with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from app.core.config import Settings

_PROJECT = Path(__file__).parents[2]


def upgrade(settings: Settings) -> None:
    """Upgrades to the newest revision. Runs its own event loop. Raises the driver's exceptions."""
    config = Config(_PROJECT / "alembic.ini")
    config.attributes["settings"] = settings
    command.upgrade(config, "head")
