"""Translates the exceptions of drivers and SQLAlchemy into those of commits."""

import re

import asyncpg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

# Invalid data, constraints, the check of a view, too long for an index, raised by a trigger.
_SQLSTATES_ABOUT_DATA = ("22", "23", "44", "54", "P0")
_SQLSTATES_OF_SCHEMAS = {"42P01", "42703"}  # undefined table, undefined column
_SQLITE_OF_SCHEMAS = re.compile("no such (table|column)|table chat_logs has no column|unable to open database file")
_ARGUMENT = re.compile(r"(query argument \$\d+): .*")


class CommitError(Exception):
    """A commit failed. Only RowsRejected and NotMigrated say for certain that the rows are not in the database."""

    reason = "unavailable"
    """For metrics and spans."""


class RowsRejected(CommitError):
    """The database rejected the rows for their content: a retry cannot help."""

    reason = "rejected"


class DatabaseUnavailable(CommitError):
    """Any other failure: the database is down, slow, full or not migrated."""


class NotMigrated(DatabaseUnavailable):
    """The database lacks the table, or columns of it, until it is migrated."""


class CommitTimedOut(DatabaseUnavailable):
    """The database has not answered in time, and may store the rows all the same."""

    reason = "timeout"


def commit_error(exc: Exception) -> CommitError:
    """Translates an exception. Its message contains no text of the rows."""
    kind = RowsRejected if _is_about_data(exc) else NotMigrated if _is_about_schema(exc) else DatabaseUnavailable
    first_line = str(getattr(exc, "orig", None) or exc).partition("\n")[0]  # further lines quote the row
    return kind(_ARGUMENT.sub(r"\1", first_line))


def _is_about_data(exc: Exception) -> bool:
    if isinstance(exc, OSError):  # that of a certificate is a ValueError, too
        return False
    if isinstance(exc, DataError | IntegrityError | ValueError | OverflowError | TypeError | RecursionError):
        return True
    if not isinstance(exc, DBAPIError) or exc.orig is None:
        return isinstance(exc, StatementError)  # SQLAlchemy could not build a statement from the row
    # asyncpg validates arguments before it sends them; when the server rejects a row, the SQLSTATE is of such a class.
    sqlstate = str(getattr(exc.orig, "sqlstate", None) or "")
    return isinstance(exc.orig.__cause__, asyncpg.DataError) or sqlstate.startswith(_SQLSTATES_ABOUT_DATA)


def _is_about_schema(exc: Exception) -> bool:
    cause = getattr(exc, "orig", None)
    sqlstate = getattr(cause, "sqlstate", None)
    return sqlstate in _SQLSTATES_OF_SCHEMAS or (not sqlstate and _SQLITE_OF_SCHEMAS.match(str(cause)) is not None)
