"""Every line in the same shape."""

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app import NAME
from tests.support.processes import PROJECT, run

LINES = """
import logging, structlog
from app.observability import logs
from app.core.config import Settings
logs.configure(Settings(log_format="json"))
structlog.get_logger("ours").info("ours.logged", number=1)
logging.getLogger("library").warning("theirs %s", 2)
structlog.get_logger("ours").info("ours.odd", text="\\ud800")
structlog.get_logger("ours").info("ours.painted", text="\\x9b31m")
logging.getLogger("sqlalchemy.engine").info("SELECT secret")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("ours").exception("ours.failed")
    logging.getLogger("library").exception("theirs failed")
"""


def test_every_line_is_one_json_object(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(LINES)
    code, output = run(["lines"], cwd=tmp_path, env={})
    assert code == 0, output
    first, second, odd, _, third, fourth = (json.loads(line) for line in output.splitlines())
    assert (first["event"], first["number"], first["level"]) == ("ours.logged", 1, "info")
    assert (second["event"], second["logger"], second["level"]) == ("theirs 2", "library", "warning")
    assert odd["text"] == "\ud800"
    assert "ZeroDivisionError" in third["exception"]
    assert "ZeroDivisionError" in fourth["exception"]
    assert all(line["timestamp"].endswith("Z") for line in (first, second, third, fourth))


def test_uncaught_exception_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text(
        "import asyncio, gc, threading, warnings\n"
        "from app.observability import logs\n"
        "from app.core.config import Settings\n"
        "logs.configure(Settings(log_format='json', worker_slot=3))\n"
        "warnings.warn('careful')\n"
        "def fail(): raise RuntimeError('in a thread')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "async def fail_alone(): raise RuntimeError('in a task')\n"
        "async def main():\n"
        "    task = asyncio.create_task(fail_alone()); await asyncio.sleep(0); del task; gc.collect()\n"
        "asyncio.run(main())\n"
        "raise RuntimeError('at the top')\n"
    )
    code, output = run(["crash"], cwd=tmp_path)
    assert code == 1
    warning, *crashes = (json.loads(line) for line in output.splitlines())
    assert "careful" in warning["event"]
    assert [line["exception"].splitlines()[-1] for line in crashes] == [
        "RuntimeError: in a thread",
        "RuntimeError: in a task",
        "RuntimeError: at the top",
    ]
    assert all((line["service.name"], line["worker"]) == (NAME, "3") for line in [warning, *crashes])


def test_terminal_gets_colours(tmp_path: Path) -> None:
    (tmp_path / "lines.py").write_text(LINES.replace('"json"', '"auto"'))
    terminal, end = pty.openpty()
    command = [sys.executable, "-c", "import lines"]
    process = subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, stdout=end, stderr=end)
    os.close(end)
    output = b""
    with suppress(OSError):  # Linux reports a closed other side like this
        while piece := os.read(terminal, 4096):
            output += piece
    os.close(terminal)
    assert process.wait() == 0
    shown = output.decode()
    assert "{" not in shown.splitlines()[0]
    assert "ours.logged" in shown
    assert "\x1b[" in shown  # in colours
    assert "\x9b" not in shown  # and in none of a client's


def test_failing_stdout_loses_only_the_line(tmp_path: Path) -> None:
    """A full disk behind the log must not end chats."""
    (tmp_path / "full.py").write_text(
        "import logging, sys, structlog\n"
        "from app.observability import logs\n"
        "sys.stdout = open('/dev/full', 'w')\n"
        "from app.core.config import Settings\n"
        "logs.configure(Settings(log_format='json'))\n"
        "structlog.get_logger().info('ours')\n"
        "logging.getLogger('library').warning('theirs')\n"
        "sys.stdout = None\n"
        "sys.stderr.write('went on\\n')\n"
    )
    code, output = run(["full"], cwd=tmp_path)
    assert (code, output) == (0, "went on\n")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_private_traceback_has_no_messages(log_format: str, tmp_path: Path) -> None:
    """Ours, a library's and the one of a crash, with all their causes: a message may quote a prompt."""
    (tmp_path / "failing.py").write_text(
        "import logging, structlog\n"
        "from app.core.config import Settings\n"
        "from app.observability import logs\n"
        f"logs.configure(Settings(log_format='{log_format}', chat_log_content='none'))\n"
        "def fail():\n"
        "    try:\n"
        "        raise KeyError('a ' + 'secret')\n"
        "    except KeyError as exc:\n"
        "        raise ValueError('a ' + 'secret') from exc\n"
        "for log in (structlog.get_logger().exception, logging.getLogger('library').exception):\n"
        "    try: fail()\n"
        "    except ValueError: log('it failed')\n"
        # On a terminal, Python itself prints uncaught exceptions.
        f"if {log_format == 'json'}: fail()\n"
    )
    _, output = run(["failing"], cwd=tmp_path)
    assert output.count("direct cause") == (3 if log_format == "json" else 2)
    assert "in fail" in output
    assert "a secret" not in output


HOSTILE = """
import logging, structlog
from app.core.config import Settings
from app.observability import logs
logs.configure(Settings(log_format="%s"))
text = "\\x1b[2J\\x1b]0;t\\x07\\x9b31m\\x7f\\u202e\\u2066\\u200b\\u2028\\ue000\\U000e0001\\u0378"
text += "\\r\\n12:00:00 [info] forged"
class Odd:
    def __repr__(self): return text
log = structlog.get_logger()
log.info("ours.value", text=text)
log.info("ours.object", odd=Odd(), number=1, inside=[text])
logging.getLogger("library").warning("theirs %%s", text)
for say in (log.exception, logging.getLogger("library").exception):
    try:
        raise RuntimeError(text)
    except RuntimeError:
        say("failed")
"""


def test_callers_text_cannot_control_the_terminal_or_forge_a_line(tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(HOSTILE % "console")
    code, output = run(["hostile"], cwd=tmp_path)
    assert code == 0
    assert output.count("forged") >= 5
    lines = re.sub(r"\x1b\[\d+m", "", output).split("\n")[:-1]
    assert [line for line in lines if not line.isprintable()] == []
    assert [line.split("] ")[1].split()[0] for line in lines if not line.startswith(" ")] == [
        "ours.value", "ours.object", "theirs", "failed", "failed"
    ]  # fmt: skip


def test_json_escapes_terminal_controls(tmp_path: Path) -> None:
    """JSON lines are read in terminals too."""
    (tmp_path / "hostile.py").write_text(HOSTILE % "json")
    code, output = run(["hostile"], cwd=tmp_path)
    assert code == 0
    lines = output.split("\n")[:-1]
    assert [line for line in lines if not line.isprintable()] == []
    value, thing, theirs, *failed = (json.loads(line) for line in lines)
    assert value["text"].startswith("\x1b[2J\x1b]0;t\x07\x9b31m\x7f\u202e")
    assert thing["odd"] == thing["inside"][0] == value["text"]
    assert theirs["event"] == f"theirs {value['text']}"
    assert [value["text"] in line["exception"] for line in failed] == [True, True]
