"""The resources in the files of deploy/k8s and in the output of kustomize."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from ruamel.yaml import YAML

from tests.support.processes import PROJECT
from tests.support.tools import tool

FOLDER = PROJECT / "deploy" / "k8s"
BASE = FOLDER / "base"
PRODUCTION = FOLDER / "overlays" / "production"

Resource = dict[str, Any]


def parse(text: str) -> list[Resource]:
    return list(YAML(typ="safe", pure=True).load_all(text))


def read(path: Path) -> list[Resource]:
    """The resources of one file."""
    return parse(path.read_text())


def only(kind: str, resources: list[Resource]) -> Resource:
    """The only resource of this kind."""
    [found] = [resource for resource in resources if resource["kind"] == kind]
    return found


@cache
def base() -> list[Resource]:
    """All resources of the base."""
    return [resource for path in sorted(BASE.glob("*.yaml")) for resource in read(path)]


def build(folder: Path) -> list[Resource]:
    """The resources of `kubectl apply -k`; skips the test without kubectl and kustomize."""
    program, verb = ("kubectl", "kustomize") if shutil.which("kubectl") else ("kustomize", "build")
    done = subprocess.run([tool(program), verb, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


def pod(kind: str) -> Resource:
    """The pod template of the base's StatefulSet or Job."""
    template: Resource = only(kind, base())["spec"]["template"]
    return template


def container(kind: str) -> Resource:
    [found] = pod(kind)["spec"]["containers"]
    return dict(found)


def selects(selector: Resource, labels: dict[str, str]) -> bool:
    """Whether a label selector, with or without `matchLabels`, matches the labels."""
    wanted: dict[str, str] = selector.get("matchLabels", selector)
    return wanted.items() <= labels.items()


def environment() -> dict[str, str]:
    """The environment of a pod without secrets; values of the container take precedence."""
    settings = {name: value or "" for name, value in dotenv_values(BASE / "settings.env").items()}
    return settings | {each["name"]: each["value"] for each in container("StatefulSet")["env"]}


def secrets() -> dict[str, str]:
    """The template of the Secret."""
    values: dict[str, str] = only("Secret", read(PRODUCTION / "secret.example.yaml"))["stringData"]
    return values
