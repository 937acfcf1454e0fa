"""`python -m app migrate`: applies the migrations that the database lacks, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app.commands.output import fail, first_line, show
from app.core.config import Settings

_PROJECT = Path(__file__).parents[2]


def migrate(settings: Settings, *, quiet: bool = False) -> int:
    """Return 0 if the database is up to date, 1 if it cannot be used."""
    try:
        upgrade(settings)
    except (OSError, SQLAlchemyError, CommandError) as exc:
        return fail(f"the database {settings.database_name} cannot be used: {first_line(exc)}{_hint(settings)}")
    if not quiet:
        show(f"the database {settings.database_name} is up to date")
    return 0


def upgrade(settings: Settings) -> None:
    """Upgrade to the newest revision. Runs its own event loop. Raises the driver's exceptions."""
    config = Config(_PROJECT / "alembic.ini")
    config.attributes["settings"] = settings
    command.upgrade(config, "head")


def _hint(settings: Settings) -> str:
    if make_url(settings.database_url.get_secret_value()).host == "db":
        return "; 'db' is a host inside docker compose: outside of it, leave DATABASE_URL out or name a host of yours"
    return "; check DATABASE_URL" if settings.embedded_database is None else ""
