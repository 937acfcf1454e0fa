"""Consistency of the project's files: locks, settings, links."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.core.config import Settings
from tests.support.processes import PROJECT

LOCKS = ["requirements.txt", "requirements-dev.txt", "requirements-uv.txt"]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return [PROJECT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_package_registry() -> None:
    """A machine with a mirror needs no patch."""
    hosts = ["pypi" + ".org", "python" + "hosted", "deb.debian" + ".org", "registry" + ".npmjs"]
    hosts += [f"{name}.io/" for name in ("docker", "ghcr", "gcr", "quay")]
    named = [path.name for path in tracked() for host in hosts if host in path.read_text(errors="replace")]
    assert named == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_every_package_by_hash_and_names_no_index(name: str) -> None:
    text = (PROJECT / name).read_text()
    packages = re.split(r"\n(?=\w)", text.strip())
    assert packages
    assert all(re.match(r"[\w.-]+==\S+", package) and "--hash=sha256:" in package for package in packages)
    assert "://" not in text
    assert "--index" not in text


def test_lock_of_node_pins_every_package_by_hash_and_names_no_host() -> None:
    text = (PROJECT / "tests" / "node" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    pinned = [package for name, package in packages.items() if name]
    assert pinned
    assert all(package["version"] and package["integrity"].startswith("sha512-") for package in pinned)
    assert "://" not in text


def test_locks_agree_with_each_other() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (PROJECT / name).read_text(), re.MULTILINE))

    everything = pins("requirements-dev.txt")
    assert pins("requirements.txt").items() <= everything.items()


def test_env_example_names_existing_settings() -> None:
    text = (PROJECT / ".env.example").read_text()
    names = re.findall(r"^#? ?([A-Z_]{3,})=", text, re.MULTILINE)
    assert names
    ours = {name.lower() for name in names if not name.startswith("OTEL_")}  # the others are OpenTelemetry's own
    assert ours <= set(Settings.model_fields)


def test_every_setting_is_documented() -> None:
    """docs/settings.md has a line for each, with its default."""
    text = (PROJECT / "docs" / "settings.md").read_text()
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]*?)`? ?\|", text, re.MULTILINE))
    assert {name.lower() for name in documented} == set(Settings.model_fields)
    plain = {
        name: field.default for name, field in Settings.model_fields.items() if not isinstance(field.default, dict)
    }
    for name, default in plain.items():
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        assert documented[name.upper()] == ("" if shown in (None, ()) else str(shown)), name


def test_links_in_documents_lead_to_files() -> None:
    broken = []
    for path in tracked():
        if path.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
            broken += [
                f"{path.name}: {link}" for link in links if "://" not in link and not (path.parent / link).exists()
            ]
    assert broken == []
