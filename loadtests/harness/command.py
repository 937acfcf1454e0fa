"""The command line: a number for each option, and a folder that stays if something is wrong."""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def command(name: str, run: Callable[[dict[str, int], Path], tuple[str, bool]], **options: int) -> int:
    """Runs with the options and an empty folder, and prints its report; the exit code is 0 if nothing is wrong.

    `options` are the defaults.
    """
    parser = argparse.ArgumentParser(prog=f"python -m loadtests.{name}")
    for option, default in options.items():
        parser.add_argument(f"--{option}", type=int, default=default, help="default: %(default)s")
    chosen = vars(parser.parse_args())
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    print(f"{', '.join(f'{option} {value}' for option, value in chosen.items())}, in {folder}", flush=True)
    try:
        report, good = run(chosen, folder)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return 130
    print(f"\n{report}\n")
    if good:
        shutil.rmtree(folder)
        return 0
    print(f"{folder} has the service's log and the database's files.")
    return 1
