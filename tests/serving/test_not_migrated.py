"""A service whose database was never migrated."""

import json
from pathlib import Path

import httpx2

from tests.support.processes import run
from tests.support.service import SimulatedGroq
from tests.support.serving import serving
from tests.support.waiting import wait_until


def test_it_says_what_to_do_and_is_ready_once_that_is_done(
    empty_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    env = {"GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url}
    with serving(tmp_path, http, env, database_url=empty_database, workers=1) as service:
        line = service.program.line(lambda line: "database.not_migrated" in line)
        assert line
        assert (json.loads(line)["level"], json.loads(line)["fix"]) == ("error", "run `make migrate`")
        ready = http.get(f"{service.url}/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, "not_migrated")
        assert http.get(f"{service.url}/healthz").status_code == 200
        assert run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": empty_database})[0] == 0
        wait_until(lambda: http.get(f"{service.url}/readyz").status_code == 200, "it is not ready")
        reply = service.chat()
        assert service.row(reply.id)["outcome"] == "completed"
    assert service.program.output.count("database.not_migrated") == 1
