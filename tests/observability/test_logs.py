"""Every line in the same shape."""

import json
from pathlib import Path

from tests.support.processes import run

LINES = """
import logging, structlog
from app.observability import logs
logs.configure("json")
structlog.get_logger("ours").info("ours.said", number=1)
logging.getLogger("library").warning("theirs %s", 2)
structlog.get_logger("ours").info("ours.odd", text="\\ud800")
logging.getLogger("sqlalchemy.engine").info("SELECT secret")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("ours").exception("ours.failed")
    logging.getLogger("library").exception("theirs failed")
"""


def test_ours_and_the_libraries_lines_are_one_json_object_each(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(LINES)
    code, output = run(["lines"], cwd=tmp_path, env={})
    assert code == 0, output
    first, second, odd, third, fourth = (json.loads(line) for line in output.splitlines())
    assert (first["event"], first["number"], first["level"]) == ("ours.said", 1, "info")
    assert (second["event"], second["logger"], second["level"]) == ("theirs 2", "library", "warning")
    assert odd["text"] == "\ud800"
    assert "ZeroDivisionError" in third["exception"]
    assert "ZeroDivisionError" in fourth["exception"]
    assert all(line["timestamp"].endswith("Z") for line in (first, second, third, fourth))


def test_a_stdout_that_fails_costs_the_line_and_nothing_else(tmp_path: Path) -> None:
    """A full disk behind the log must not take chats along."""
    (tmp_path / "full.py").write_text(
        "import logging, sys, structlog\n"
        "from app.observability import logs\n"
        "sys.stdout = open('/dev/full', 'w')\n"
        "logs.configure('json')\n"
        "structlog.get_logger().info('ours')\n"
        "logging.getLogger('library').warning('theirs')\n"
        "sys.stdout = None\n"
        "sys.stderr.write('went on\\n')\n"
        "import os; os._exit(0)\n"
    )
    code, output = run(["full"], cwd=tmp_path)
    assert (code, output) == (0, "went on\n")
