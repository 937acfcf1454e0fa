#!/usr/bin/env python3
"""Says whether the manifests are what Kubernetes takes: each file as it is, and what kustomize makes of them.

Without a kustomize or a kubectl the files alone are checked, and that is said; with REQUIRE_TOOLS set it is an error.
"""

import os
import shutil
import subprocess  # nosec B404
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from rules import prometheus_rule
from schemas import SCHEMAS

FOLDER = Path(__file__).parent
# The oldest that has all that is used here, and the newest whose schemas are known.
KUBERNETES = {
    f"Kubernetes {version}": partial(kubernetes_validate.validate, desired_version=version, strict=True)
    for version in ("1.32", kubernetes_validate.latest_version())
}

Resource = dict[str, Any]


def parse(text: str) -> list[Resource]:
    """The resources of a stream of YAML documents. Raises YAMLError."""
    return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]


def mistakes(resource: Resource) -> Iterator[str]:
    """What Kubernetes, or the operator that reads it, would not take."""
    kind, version = resource.get("kind", ""), resource.get("apiVersion", "")
    name = f"{kind or 'a resource without a kind'} {resource.get('metadata', {}).get('name', '')}".strip()
    own = SCHEMAS.get((version, kind))
    judges = {"schemas.py": partial(jsonschema.validate, schema=own)} if own else KUBERNETES
    for who, validate in judges.items():
        try:
            validate(resource)
        except jsonschema.ValidationError as exc:
            yield f"{name}: {'.'.join(map(str, exc.absolute_path)) or 'at the top'}: {exc.message} ({who})"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{name}: {who} knows no {kind} of {version}, and schemas.py has none either"
        except KeyError as exc:
            yield f"{name}: {exc} is missing"


def files(folder: Path) -> Iterator[Path]:
    """All manifests. What kustomize reads itself is judged by what it makes of it."""
    return (path for path in sorted(folder.rglob("*.yaml")) if path.name != "kustomization.yaml")


def kustomize() -> list[str | Path] | None:
    """The command that builds an overlay: a kustomize's, or that of the one within kubectl."""
    folders = os.pathsep.join(filter(None, [os.environ.get("TOOLS_PATH"), os.environ.get("PATH")]))
    if own := shutil.which("kustomize", path=folders):
        return [own, "build"]
    if kubectl := shutil.which("kubectl", path=folders):
        return [kubectl, "kustomize"]
    return None


def build(command: Sequence[str | Path], folder: Path) -> str:
    """The resources of an overlay. Exits with what kustomize says."""
    built = subprocess.run([*command, folder], capture_output=True, text=True, check=False)  # noqa: S603 # nosec B603
    if built.returncode:
        sys.exit(f"{folder.relative_to(FOLDER)}: {built.stderr.strip()}")
    return built.stdout


def sources(command: Sequence[str | Path] | None) -> Iterator[tuple[str, str]]:
    """Each stream of resources, and where it is from."""
    for path in files(FOLDER):
        yield str(path.relative_to(FOLDER)), path.read_text(encoding="utf-8")
    if command is not None:
        for folder in (path.parent for path in sorted(FOLDER.rglob("kustomization.yaml"))):
            yield f"{folder.relative_to(FOLDER)}, built", build(command, folder)


def main() -> None:
    command = kustomize()
    found = [f"rules.py: {mistake}" for mistake in mistakes(prometheus_rule())]
    for where, text in sources(command):
        try:
            found += [f"{where}: {mistake}" for resource in parse(text) for mistake in mistakes(resource)]
        except YAMLError as exc:
            found.append(f"{where}: {exc}")
    if command is None:
        sys.stderr.write("no kustomize and no kubectl here: deploy/k8s was checked by its files, not as it is built\n")
        if os.environ.get("REQUIRE_TOOLS"):
            found.append("REQUIRE_TOOLS is set")
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
