"""Who may ask."""

from hashlib import sha256

import pytest

from app.api.keys import ApiKeys
from app.core.config import Settings
from app.core.errors import Unauthorized

SECOND = sha256(b"two:parts").hexdigest()


def keys(text: str = f"first: one , second:sha256:{SECOND}") -> ApiKeys:
    return ApiKeys(Settings.model_validate({"api_keys": text}).api_keys)


def test_a_key_has_a_name_however_it_is_written_down() -> None:
    assert keys().name_of("Bearer one") == "first"
    assert keys().name_of("bearer two:parts") == "second"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic one", "one", f"Bearer {SECOND}"]
)
def test_anything_else_is_refused_without_being_quoted(header: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        keys().name_of(header)
    assert "wrong" not in caught.value.message


def test_without_keys_everyone_may_ask() -> None:
    assert keys("").name_of(None) is None
    assert keys("").name_of("Bearer anything") is None


def test_the_settings_keep_no_key() -> None:
    settings = Settings.model_validate({"api_keys": "first:a-secret"})
    assert "a-secret" not in repr(settings) + repr(settings.api_keys)


@pytest.mark.parametrize(
    "text",
    [
        "a-secret",
        "name:",
        ":a-secret",
        "a b:a-secret",
        "x:a-secret,x:b-secret",
        "x:sha256:a-secret",
        " ",
        "x:a-secret,",
        "x:a-secret,y:a-secret",
        "x:a-secrét",
    ],
)
def test_keys_that_make_no_sense_are_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="use name:secret or name:sha256:hex") as caught:
        Settings.model_validate({"api_keys": text})
    assert "a-secret" not in str(caught.value)
