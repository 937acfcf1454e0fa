"""API keys."""

from hashlib import sha256

import pytest

from app.api.auth import ApiKeys
from app.core.config import Settings
from app.core.errors import Unauthorized

SECOND = sha256(b"two:parts").hexdigest()


def keys(text: str = f"first: one , second:sha256:{SECOND}") -> ApiKeys:
    return ApiKeys(Settings.model_validate({"api_keys": text}).api_keys)


def test_plain_and_hashed_keys_authenticate_their_client() -> None:
    assert keys().authenticate("Bearer one") == "first"
    assert keys().authenticate("bearer two:parts") == "second"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic one", "one", f"Bearer {SECOND}"]
)
def test_invalid_authorization_is_refused_without_quoting_it(header: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        keys().authenticate(header)
    assert "wrong" not in caught.value.message


def test_without_keys_every_caller_is_anonymous() -> None:
    assert keys("").authenticate(None) is None
    assert keys("").authenticate("Bearer anything") is None


def test_settings_do_not_contain_secrets() -> None:
    settings = Settings.model_validate({"api_keys": "first:a-secret"})
    assert "a-secret" not in repr(settings) + repr(settings.api_keys)


@pytest.mark.parametrize("kind", ["sha256:", "SHA256:", "Sha256: ", "SHA-256:"])
def test_digest_prefix_and_hex_are_case_insensitive(kind: str) -> None:
    """Otherwise the digest itself would be accepted as the key."""
    known = keys(f"a:{kind}{SECOND.upper()}")
    assert known.authenticate("Bearer two:parts") == "a"
    with pytest.raises(Unauthorized):
        known.authenticate(f"Bearer {kind}{SECOND.upper()}")


@pytest.mark.parametrize(
    "key", [f"sha512:{SECOND * 2}", f"sha256={SECOND}", f"MD5:{SECOND[:32]}", "$2b$12$" + SECOND[:53], f"sha:{SECOND}"]
)
def test_unsupported_digest_is_refused_and_not_used_as_a_secret(key: str) -> None:
    with pytest.raises(ValueError, match="'a' has a digest in another form") as caught:
        keys(f"a:{key}")
    assert SECOND[:16] not in str(caught.value)


def test_hex_without_a_prefix_is_a_secret() -> None:
    """`openssl rand -hex 32` generates such keys."""
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
def test_invalid_api_keys_are_refused_without_quoting_them(text: str) -> None:
    with pytest.raises(ValueError, match="use name:secret or name:sha256:hex") as caught:
        Settings.model_validate({"api_keys": text})
    assert "a-secret" not in str(caught.value)
