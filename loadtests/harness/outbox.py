"""Where the service stores rows while its database is unavailable: the one place here that knows its form."""

from pathlib import Path

ROWS_METRIC = "chat_log_spooled_rows"


def settings(folder: Path) -> dict[str, str]:
    """For a service whose outbox is in `folder`."""
    path = folder / "spool"
    path.mkdir(exist_ok=True)
    return {"SPOOL_DIR": str(path)}


def waiting(folder: Path) -> int:
    """How much has yet to reach the database: files with rows."""
    return len(list((folder / "spool").glob("*.jsonl")))
