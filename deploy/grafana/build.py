#!/usr/bin/env python3
"""Writes the dashboards' JSON from `panels/`; with --check it only reports files that are out of date."""

import json
import sys
from pathlib import Path

from panels import chats, groq, overview, workers

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = {
    "overview": overview.DASHBOARD,
    "groq": groq.DASHBOARD,
    "workers": workers.DASHBOARD,
    "chats": chats.DASHBOARD,
}


def main(arguments: list[str]) -> None:
    current = {
        f"{name}.json": json.dumps(page, indent=2, ensure_ascii=False) + "\n" for name, page in DASHBOARDS.items()
    }
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    if arguments == ["--check"]:
        stale = sorted(name for name in current | found if current.get(name) != found.get(name))
        if stale:
            sys.exit(f"Out of date with deploy/grafana/panels: {', '.join(stale)}. Run: make dashboards")
    elif arguments:
        sys.exit("usage: build.py [--check]")
    else:
        for name, text in current.items():
            (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
