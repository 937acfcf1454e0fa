"""The shapes of `chat_logs`, measured on few rows: that each can be filled, written to, asked and cleared."""

import re
from pathlib import Path

import pytest

from tests.support.processes import run

SHAPES = ["one table", "BRIN on created_at", "no index on created_at", "a table for each month"]


@pytest.mark.long
def test_every_shape_is_written_read_and_cleared(tmp_path: Path) -> None:
    code, output = run(["loadtests.rows", "--rows", "3600"], cwd=tmp_path)
    assert code == 0, output
    for shape in SHAPES:
        assert re.search(rf"^  {shape} +[\d.]+ +[\d.]+ +[\d,]+ +[\d.]+ +[\d.]+$", output, re.MULTILINE), output
    assert re.search(r"^  The slowest to begin, 7 d( +[\d.]+){4}$", output, re.MULTILINE), output
    # A twelfth of the rows, but for the one that stands on the line.
    for way in ("make prune", "DROP TABLE"):
        found = re.search(rf"^  {way} +(\d+) ", output, re.MULTILINE)
        assert found, output
        assert int(found[1]) in (299, 300)
