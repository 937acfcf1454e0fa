"""PostgreSQL by TLS: the certificate of the server is verified."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import trustme

from tests.support.postgres import Postgres, created
from tests.support.processes import run
from tests.support.tools import do_without


class Secured(NamedTuple):
    """A server whose certificate is for `localhost`, and the certificates of its authority and of another one."""

    server: Postgres
    authority: Path
    stranger: Path


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server may run as another user
        with _running(folder) as found:
            yield found


@contextmanager
def _running(folder: Path) -> Iterator[Secured]:
    authority, key, chain = trustme.CA(), folder / "server.key", folder / "server.crt"
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    authority.cert_pem.write_to_path(folder / "ca.crt")
    trustme.CA().cert_pem.write_to_path(folder / "other.crt")
    settings = {"ssl": "on", "ssl_cert_file": str(chain), "ssl_key_file": str(key)}
    server = created(folder, settings, binaries=installed())
    key.chmod(0o600)
    if server.user:
        shutil.chown(key, server.user)
    server.start()
    try:
        yield Secured(server, folder / "ca.crt", folder / "other.crt")
    finally:
        server.stop()


def installed() -> Path:
    """The system's programs of PostgreSQL: the wheel's cannot speak TLS."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found else do_without("PostgreSQL is not installed: apt-get install postgresql")


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize(
    ("host", "query", "words"),
    [
        ("localhost", "sslmode=verify-full&sslrootcert={authority}", "is up to date"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={authority}", "is up to date"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={authority}", "certificate verify failed"),
        ("localhost", "sslmode=verify-full&sslrootcert={stranger}", "certificate verify failed"),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere.crt", "No such file"),
    ],
)
def test_certificate_is_verified(secured: Secured, tmp_path: Path, host: str, query: str, words: str) -> None:
    paths = {"authority": secured.authority, "stranger": secured.stranger}
    url = f"postgresql://postgres@{host}:{secured.server.port}/postgres?{query.format(**paths)}"
    _, output = run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": url, "HOME": os.devnull})
    assert words in output
    assert output.count("\n") == 1
