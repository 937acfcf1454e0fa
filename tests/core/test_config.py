"""Settings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core.config import Settings
from app.core.environment import explain
from tests.support.processes import run


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type] # pydantic's own view of an environment


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_usual_spelling_of_a_postgresql_url_works(scheme: str) -> None:
    url = settings(database_url=f"{scheme}://me:pw@host/db").database_url.get_secret_value()
    assert url == "postgresql+asyncpg://me:pw@host/db"


def test_secrets_stay_out_of_what_is_printed() -> None:
    shown = settings(groq_api_key="gsk_1", database_url="postgresql://me:sesame@host:5432/db")
    assert "gsk_1" not in repr(shown)
    assert "sesame" not in repr(shown)
    assert shown.database_name == "postgresql://host:5432/db"
    assert settings(database_url="postgres://host/db?user=me&password=sesame").database_name == "postgresql://host/db"


def test_what_is_wrong_is_explained_without_its_value() -> None:
    with pytest.raises(ValidationError) as caught:
        settings(port="secret-1", stream_flush_ms=-5)
    assert explain(caught.value) == [
        "PORT: Input should be a valid integer, unable to parse string as an integer",
        "STREAM_FLUSH_MS: Input should be greater than or equal to 0",
    ]


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes variables on that are not set as empty ones."""
    monkeypatch.setenv("GROQ_API_KEY", "")
    monkeypatch.setenv("PORT", "")
    assert settings().groq_api_key is None
    assert settings().port == 8000


SHOW = """
from app.core.environment import read_settings
first = read_settings()
with open(".env", "a") as file:
    file.write("PORT=9\\nMAX_ACTIVE_STREAMS=none\\n")
again = read_settings()
import os
print(first.groq_api_key.get_secret_value(), first.port, again.port, os.environ["OTEL_SERVICE_NAME"])
"""


def test_a_dotenv_is_read_once_and_the_environment_wins(tmp_path: Path) -> None:
    """A worker that is started later runs on what the others run on, whatever was written to the file meanwhile."""
    (tmp_path / ".env").write_text("GROQ_API_KEY=from-file\nPORT=1\nSOMEBODY_ELSES=5\nOTEL_SERVICE_NAME=mine\n")
    (tmp_path / "show.py").write_text(SHOW)
    code, output = run(["show"], cwd=tmp_path, env={"PORT": "2"})
    assert (code, output) == (0, "from-file 2 2 mine\n")
