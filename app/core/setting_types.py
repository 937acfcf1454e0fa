"""The types of settings, with their validation."""

import json
import re
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_DRIVERS = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as exc:
        raise ValueError(f"use a JSON object ({exc})") from exc


def _names(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    names = tuple(name.strip() for name in value.split(","))
    if value.strip() and not all(names):
        raise ValueError("use names, separated by commas")
    return names if value.strip() else ()


def origins(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Validates origins as browsers send them. Raises ValueError."""
    if not all(url == "*" or (_has_valid_address(url) and re.fullmatch("https?://[^/?#@]+", url)) for url in urls):
        raise ValueError("use origins such as https://example.org, without a path, separated by commas; or *")
    return urls


def _has_valid_address(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def _known_driver(url: SecretStr) -> SecretStr:
    scheme, separator, rest = url.get_secret_value().partition("://")
    understood = separator and scheme in _DRIVERS and _has_valid_address(url.get_secret_value())
    if not understood or (scheme.startswith("sqlite") and not re.fullmatch(r"/(?!/*(:memory:)?$)[^?]+", rest)):
        raise ValueError("use postgresql+asyncpg://user:password@host:5432/name or sqlite+aiosqlite:///path.db")
    return SecretStr(f"{_DRIVERS[scheme]}://{rest}")


def _redis_url(url: SecretStr) -> SecretStr:
    if not (_has_valid_address(url.get_secret_value()) and re.match("rediss?://[^/]", url.get_secret_value())):
        raise ValueError("use redis://:password@host:6379/0, or rediss:// for TLS")
    return url


def _fits_a_header(key: SecretStr) -> SecretStr:
    if not (key.get_secret_value().isascii() and key.get_secret_value().isprintable()):
        raise ValueError("use the key exactly as Groq shows it, in printable ASCII")
    return key


def _model_id(text: str) -> str:
    if not re.fullmatch("[!-~]+", text):  # the id of an alias is sent in a header
        raise ValueError("use the model's id exactly as Groq lists it, in printable ASCII without spaces")
    return text


def _http_url(url: str) -> str:
    if not (_has_valid_address(url) and re.match("https?://[^/]", url)):
        raise ValueError("use a URL that starts with https:// or http:// and names a host")
    return url.rstrip("/")


def _host(name: str) -> str:
    try:
        name.encode("idna")  # as a socket does, whose error would end the start with a traceback
    except UnicodeError as exc:
        raise ValueError("use an IP address or the name of a host") from exc
    return name


def _addresses(proxies: str) -> str:
    try:
        networks = [ip_network(proxy.strip()) for proxy in proxies.split(",") if proxy.strip()]
    except ValueError as exc:
        raise ValueError("use IP addresses or networks (10.1.0.0/16) of proxies, separated by commas") from exc
    if not all(network.prefixlen for network in networks):
        raise ValueError("name your proxies; with all addresses (/0) any client could forge its address")
    return ",".join(map(str, networks))


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Names = (NoDecode, BeforeValidator(_names))
JsonObject = (NoDecode, BeforeValidator(_from_json))
DatabaseUrl = Annotated[SecretStr, AfterValidator(_known_driver)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_fits_a_header)]
Host = Annotated[str, AfterValidator(_host)]
ModelId = Annotated[str, AfterValidator(_model_id)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Addresses = Annotated[str, AfterValidator(_addresses)]
