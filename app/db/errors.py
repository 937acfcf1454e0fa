"""What can go wrong with a commit, told apart by what helps: the border between the drivers and us."""

import re

import asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

# Data, constraints, a view's check; what is too long for an index; what a trigger raises.
_SQLSTATES_ABOUT_DATA = ("22", "23", "44", "54", "P0")
_ARGUMENT = re.compile(r"(query argument \$\d+): .*")


class CommitError(Exception):
    """The rows are not in the database."""


class RowsRefused(CommitError):
    """The database answers, and does not take these rows for what is in them: a repeat cannot help."""


class DatabaseAway(CommitError):
    """Anything else: it is down, slow, full, or not migrated. The rows are all right."""


class CommitTimedOut(DatabaseAway):
    """It has not answered in time; it may take the rows all the same."""


def commit_error(exc: Exception) -> CommitError:
    """What a driver or SQLAlchemy raised, in our words; texts of the rows stay out of them."""
    kind = RowsRefused if _is_about_data(exc) else DatabaseAway
    first_line = str(getattr(exc, "orig", None) or exc).partition("\n")[0]  # the next ones quote the row
    return kind(_ARGUMENT.sub(r"\1", first_line))


def _is_about_data(exc: Exception) -> bool:
    if isinstance(exc, DataError | IntegrityError | ValueError | OverflowError | TypeError | RecursionError):
        return True
    if not isinstance(exc, DBAPIError) or exc.orig is None:
        return isinstance(exc, StatementError)  # SQLAlchemy itself could not make a statement of the row
    # asyncpg checks arguments before it sends them; what the server refuses has a state of such a class.
    sqlstate = str(getattr(exc.orig, "sqlstate", None) or "")
    return isinstance(exc.orig.__cause__, asyncpg.DataError) or sqlstate.startswith(_SQLSTATES_ABOUT_DATA)
