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
def test_common_postgresql_urls_are_accepted(scheme: str) -> None:
    url = settings(database_url=f"{scheme}://me:pw@host/db").database_url.get_secret_value()
    assert url == "postgresql+asyncpg://me:pw@host/db"


def test_repr_and_database_name_have_no_secrets() -> None:
    shown = settings(groq_api_key="gsk_1", database_url="postgresql://me:sesame@host:5432/db")
    assert "gsk_1" not in repr(shown)
    assert "sesame" not in repr(shown)
    assert shown.database_name == "postgresql://host:5432/db"
    assert settings(database_url="postgres://host/db?user=me&password=sesame").database_name == "postgresql://host/db"


def test_invalid_settings_are_explained_without_their_values() -> None:
    with pytest.raises(ValidationError) as caught:
        settings(port="secret-1", stream_flush_ms=-5)
    assert explain(caught.value) == [
        "PORT: Input should be a valid integer, unable to parse string as an integer",
        "STREAM_FLUSH_MS: Input should be greater than or equal to 0",
    ]


def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes variables that are not set as empty ones."""
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


def test_dotenv_is_read_once_and_the_environment_takes_precedence(tmp_path: Path) -> None:
    """A worker that starts later has the settings of the others, even if the file has changed."""
    (tmp_path / ".env").write_text("GROQ_API_KEY=from-file\nPORT=1\nUNRELATED=5\nOTEL_SERVICE_NAME=mine\n")
    (tmp_path / "show.py").write_text(SHOW)
    code, output = run(["show"], cwd=tmp_path, env={"PORT": "2"})
    assert (code, output) == (0, "from-file 2 2 mine\n")
