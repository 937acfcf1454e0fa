"""Who may ask."""

from hashlib import sha256

import pytest

from app.api.auth import ApiKeys
from app.core.config import Settings
from app.core.errors import Unauthorized

SECOND = sha256(b"two:parts").hexdigest()


def keys(text: str = f"first: one , second:sha256:{SECOND}") -> ApiKeys:
    return ApiKeys(Settings.model_validate({"api_keys": text}).api_keys)


def test_a_key_has_a_name_however_it_is_written_down() -> None:
    assert keys().authenticate("Bearer one") == "first"
    assert keys().authenticate("bearer two:parts") == "second"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic one", "one", f"Bearer {SECOND}"]
)
def test_anything_else_is_refused_without_being_quoted(header: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        keys().authenticate(header)
    assert "wrong" not in caught.value.message


def test_without_keys_everyone_may_ask() -> None:
    assert keys("").authenticate(None) is None
    assert keys("").authenticate("Bearer anything") is None


def test_the_settings_keep_no_key() -> None:
    settings = Settings.model_validate({"api_keys": "first:a-secret"})
    assert "a-secret" not in repr(settings) + repr(settings.api_keys)


@pytest.mark.parametrize("kind", ["sha256:", "SHA256:", "Sha256: ", "SHA-256:"])
def test_a_digest_is_understood_in_capitals_too(kind: str) -> None:
    """Taken for a secret, the digest itself would be the key."""
    known = keys(f"a:{kind}{SECOND.upper()}")
    assert known.authenticate("Bearer two:parts") == "a"
    with pytest.raises(Unauthorized):
        known.authenticate(f"Bearer {kind}{SECOND.upper()}")


@pytest.mark.parametrize(
    "key", [f"sha512:{SECOND * 2}", f"sha256={SECOND}", f"MD5:{SECOND[:32]}", "$2b$12$" + SECOND[:53], f"sha:{SECOND}"]
)
def test_a_digest_of_another_form_is_refused_and_not_taken_for_a_secret(key: str) -> None:
    with pytest.raises(ValueError, match="'a' has a digest in another form") as caught:
        keys(f"a:{key}")
    assert SECOND[:16] not in str(caught.value)


def test_a_secret_may_look_like_a_digest_without_its_kind() -> None:
    """`openssl rand -hex 32` makes such keys."""
    assert keys(f"a:{SECOND}").authenticate(f"Bearer {SECOND}") == "a"


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
