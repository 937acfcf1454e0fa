#!/usr/bin/env python3
"""Writes the dashboards' JSON; with --check it only says whether they are what `panels/` describes."""

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
    wanted = {f"{name}.json": json.dumps(page, indent=2, ensure_ascii=False) for name, page in DASHBOARDS.items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    wanted = {name: text + "\n" for name, text in wanted.items()}
    if arguments == ["--check"]:
        stale = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        if stale:
            sys.exit(f"Not what deploy/grafana/panels says: {', '.join(stale)}. Run: python deploy/grafana/build.py")
    elif arguments:
        sys.exit("usage: build.py [--check]")
    else:
        for name, text in wanted.items():
            (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
