#!/usr/bin/env python3
"""Validates the manifests: each file, and the output of kustomize.

Without kustomize or kubectl it checks the files only and prints a warning; with REQUIRE_TOOLS this is an error.
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
# The oldest version with all fields that are used here, and the newest with known schemas.
KUBERNETES = {
    f"Kubernetes {version}": partial(kubernetes_validate.validate, desired_version=version, strict=True)
    for version in ("1.32", kubernetes_validate.latest_version())
}

Resource = dict[str, Any]


def parse(text: str) -> list[Resource]:
    """The resources in a stream of YAML documents. Raises YAMLError."""
    return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]


def errors(resource: Resource) -> Iterator[str]:
    """Errors for which Kubernetes or the Prometheus Operator would refuse the resource."""
    kind, version = resource.get("kind", ""), resource.get("apiVersion", "")
    name = f"{kind or 'a resource without a kind'} {resource.get('metadata', {}).get('name', '')}".strip()
    own = SCHEMAS.get((version, kind))
    schemas = {"schemas.py": partial(jsonschema.validate, schema=own)} if own else KUBERNETES
    for source, validate in schemas.items():
        try:
            validate(resource)
        except jsonschema.ValidationError as exc:
            yield f"{name}: {'.'.join(map(str, exc.absolute_path)) or 'at the top'}: {exc.message} ({source})"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"{name}: {source} has no schema for {kind} of {version}, and schemas.py has none either"
        except KeyError as exc:
            yield f"{name}: {exc} is missing"


def files(folder: Path) -> Iterator[Path]:
    """All manifests except kustomization.yaml, whose output is checked instead."""
    return (path for path in sorted(folder.rglob("*.yaml")) if path.name != "kustomization.yaml")


def kustomize() -> list[str | Path] | None:
    """The command that builds an overlay: `kustomize build` or `kubectl kustomize`; None without both."""
    folders = os.pathsep.join(filter(None, [os.environ.get("TOOLS_PATH"), os.environ.get("PATH")]))
    if own := shutil.which("kustomize", path=folders):
        return [own, "build"]
    if kubectl := shutil.which("kubectl", path=folders):
        return [kubectl, "kustomize"]
    return None


def build(command: Sequence[str | Path], folder: Path) -> str:
    """The output of kustomize for an overlay. Exits with its error message."""
    built = subprocess.run([*command, folder], capture_output=True, text=True, check=False)  # noqa: S603 # nosec B603
    if built.returncode:
        sys.exit(f"{folder.relative_to(FOLDER)}: {built.stderr.strip()}")
    return built.stdout


def sources(command: Sequence[str | Path] | None) -> Iterator[tuple[str, str]]:
    """(name, YAML) of each file and each built overlay."""
    for path in files(FOLDER):
        yield str(path.relative_to(FOLDER)), path.read_text(encoding="utf-8")
    if command is not None:
        for folder in (path.parent for path in sorted(FOLDER.rglob("kustomization.yaml"))):
            yield f"{folder.relative_to(FOLDER)}, built", build(command, folder)


def main() -> None:
    command = kustomize()
    found = [f"rules.py: {error}" for error in errors(prometheus_rule())]
    for name, text in sources(command):
        try:
            found += [f"{name}: {error}" for resource in parse(text) for error in errors(resource)]
        except YAMLError as exc:
            found.append(f"{name}: {exc}")
    if command is None:
        sys.stderr.write("deploy/k8s: kustomize and kubectl are not installed; built overlays were not checked\n")
        if os.environ.get("REQUIRE_TOOLS"):
            found.append("REQUIRE_TOOLS is set: install kustomize or kubectl")
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
