"""Where the service stores rows while its database is unavailable."""

from contextlib import closing
from pathlib import Path

from app.db.outbox_file import OutboxFile

ROWS_METRIC = "chat_log_outbox_rows"


def settings(folder: Path) -> dict[str, str]:
    """For a service whose outbox is in `folder`."""
    return {"OUTBOX_DIR": str(folder / "outbox")}


def waiting(folder: Path) -> int:
    """How many rows have yet to reach the database, those included that it refused."""
    with closing(OutboxFile(folder / "outbox", database="")) as file:
        status = file.status()
    return status.rows + status.rejected_rows
