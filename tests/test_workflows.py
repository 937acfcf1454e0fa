"""GitHub workflows agree with the project, pin their actions, and have few permissions."""

import re
import tomllib
from typing import Any

import pytest

from tests.support.processes import PROJECT
from tests.support.prometheus import parse

FILES = sorted((PROJECT / ".github" / "workflows").glob("*.y*ml"))
JOBS: dict[str, dict[str, Any]] = {name: job for file in FILES for name, job in parse(file)["jobs"].items()}
RELEASE = {
    "release-image": {"contents": "read", "packages": "write"},
    "release-publish": {"contents": "write", "packages": "write", "id-token": "write"},
}
PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def supported() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in project["classifiers"]]
    versions = [match[1] for match in found if match]
    assert project["requires-python"] == f">={versions[0]}"
    return versions


def test_checks_run_on_every_supported_python() -> None:
    checks = JOBS["checks"]
    assert checks["strategy"]["matrix"] == {"python": supported()}
    assert [step["run"] for step in checks["steps"] if "run" in step] == [".ci/run"]


def test_image_uses_a_supported_python_and_is_tested() -> None:
    base = re.findall(r"^FROM python:(3\.\d+)-slim", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(base) <= set(supported())
    assert len(set(base)) == 1
    steps = JOBS["image"]["steps"]
    assert [step["with"]["python-version"] for step in steps if "python-version" in step.get("with", {})] == base[:1]
    assert [step["run"] for step in steps if "run" in step] == ["make image ENGINE=docker"]


def test_long_programs_run_every_week() -> None:
    commands = JOBS["weekly"]["strategy"]["matrix"]["command"]
    targets = {re.match(r"make ([\w-]+)", each)[1] for each in commands}  # type: ignore[index] # each is such a command
    assert targets == {"chaos", "leak-test", "fuzz", "loadtest"}
    assert [step["run"] for step in JOBS["weekly"]["steps"] if "run" in step] == ["${{ matrix.command }}"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_jobs_of_a_release_may_write(file: Any) -> None:
    workflow = parse(file)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    assert all(job.get("permissions") == RELEASE.get(name) for name, job in workflow["jobs"].items())
    assert "secrets." not in file.read_text()
    assert "pull_request_target" not in file.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_action_is_pinned_to_a_commit_with_its_version(file: Any) -> None:
    used = re.findall(r"uses: (.+)", file.read_text())
    assert used
    assert [each for each in used if not PINNED.fullmatch(each)] == []


def test_checkout_does_not_persist_credentials() -> None:
    checkouts = [step for job in JOBS.values() for step in job["steps"] if "checkout@" in step.get("uses", "")]
    assert len(checkouts) == len(JOBS)
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_release_is_made_of_tested_images_only_and_by_a_tag() -> None:
    [release] = [file for file in FILES if file.name == "release.yml"]
    assert parse(release)["on"] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    assert JOBS["release-image"]["needs"] == "release-tests"
    assert JOBS["release-publish"]["needs"] == "release-image"
    assert ".ci/run" in [step.get("run") for step in JOBS["release-tests"]["steps"]]
    assert "make image ENGINE=docker" in [step.get("run") for step in JOBS["release-image"]["steps"]]
    images = JOBS["release-image"]["strategy"]["matrix"]["include"]
    assert [each["architecture"] for each in images] == ["amd64", "arm64"]


def test_bot_updates_every_kind_of_pinned_dependency() -> None:
    updates = parse(PROJECT / ".github" / "dependabot.yml")["updates"]
    kinds = {each["package-ecosystem"]: each["directory"] for each in updates}
    assert kinds.keys() == {"pip", "npm", "docker", "docker-compose", "github-actions"}
    assert (PROJECT / kinds["npm"].strip("/") / "package-lock.json").is_file()
