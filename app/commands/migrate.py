"""`python -m app migrate`: applies the migrations that the database lacks."""

import sys

from alembic.util import CommandError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app.commands.output import show
from app.core.config import Settings
from app.core.text import printable
from app.db.migrate import upgrade


def migrate(settings: Settings, *, quiet: bool = False) -> int:
    """Return 0 if the database is up to date, 1 if it cannot be used."""
    try:
        upgrade(settings)
    except (OSError, SQLAlchemyError, CommandError) as exc:
        sys.stderr.write(f"the database {settings.database_name} cannot be used: {_first_line(exc)}{_hint(settings)}\n")
        return 1
    if not quiet:
        show(f"the database {settings.database_name} is up to date")
    return 0


def _first_line(exc: BaseException) -> str:
    cause = getattr(exc, "orig", None) or exc
    cause = cause.__cause__ or cause
    return printable(str(cause).partition("\n")[0]) or type(cause).__name__


def _hint(settings: Settings) -> str:
    if make_url(settings.database_url.get_secret_value()).host == "db":
        return "; 'db' is a host inside docker compose: outside of it, leave DATABASE_URL out or name a host of yours"
    return "; check DATABASE_URL" if settings.embedded_database is None else ""
