"""The audit of the locks fails unless every package was looked up; a release is complete before it is made."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from deploy.scripts.audit import LOCKS, report
from tests.support.copies import copy_project
from tests.support.processes import PROJECT

LOCK = """aiohttp==3.14.5 \\
    --hash=sha256:00
ruamel-yaml==0.18 ; sys_platform == 'elsewhere' \\
    --hash=sha256:00
"""
DIGEST = "sha256:" + "0" * 64


def answer(**facts: Any) -> str:
    return json.dumps({"dependencies": [{"name": "aiohttp", "version": "3.14.5", **facts}]})


@pytest.mark.parametrize(
    ("output", "problems"),
    [
        (answer(vulns=[]), []),
        (answer(vulns=[{"id": "PYSEC-1", "fix_versions": ["4"]}]), ["aiohttp 3.14.5: PYSEC-1, fixed in ['4']"]),
        (answer(skip_reason="Dependency not found on PyPI"), ["aiohttp was not looked up"]),
        ('{"dependencies": []}', ["aiohttp was not looked up"]),
        ("", ["the scanner gave no answer"]),
        ("[]", ["the scanner gave no answer"]),
    ],
)
def test_package_without_an_answer_is_a_problem(output: str, problems: list[str]) -> None:
    assert report(LOCK, output) == problems


def test_audit_fails_where_the_advisories_cannot_be_read() -> None:
    env = {"PATH": "", "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, str(PROJECT / "deploy" / "scripts" / "audit.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == list(LOCKS)


def test_release_needs_its_section_its_version_and_a_base_image_with_a_digest(tmp_path: Path) -> None:
    copy = copy_project(tmp_path)

    def notes(version: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(copy / "deploy" / "scripts" / "release.py"), version]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    changelog, dockerfile = copy / "CHANGELOG.md", copy / "Dockerfile"
    dockerfile.write_text(re.sub(r"@sha256:\w+", "", dockerfile.read_text()))  # as it is before `make pin`
    changelog.write_text("# Changelog\n\n## Unreleased\n\n## 9.9.9 (2026-12-01)\n\n- New.\n\n## 0.0.9\n\n- Old.\n")
    refused = notes("9.9.9").stderr.splitlines()
    assert [line.partition(" names ")[0] for line in refused[:3]] == [
        "pyproject.toml",
        "app/__init__.py",
        "deploy/k8s/overlays/production/kustomization.yaml",
    ]
    assert refused[3:] == ["Dockerfile: the base image has no digest; `make pin` adds it"]
    dockerfile.write_text(dockerfile.read_text().replace("-slim", f"-slim@{DIGEST}"))
    for name in ("pyproject.toml", "app/__init__.py", "deploy/k8s/overlays/production/kustomization.yaml"):
        (copy / name).write_text((copy / name).read_text().replace(__version__, "9.9.9"))
    assert (notes("9.9.9").returncode, notes("9.9.9").stdout) == (0, "- New.\n")
    assert "CHANGELOG.md has no section '## 9.9.8'" in notes("9.9.8").stderr
