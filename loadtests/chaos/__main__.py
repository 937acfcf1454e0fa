"""`python -m loadtests.chaos`: exit code 0 if every receipt has its row."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from loadtests.chaos.plan import Plan
from loadtests.chaos.storm import run
from loadtests.chaos.table import table
from loadtests.chaos.verdict import judge


def main() -> int:
    plan = _plan()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.chmod(0o755)  # root lends PostgreSQL to another user
    print(f"{plan.streams} streams, seed {plan.seed}, in {folder}", flush=True)
    try:
        evidence = run(plan, folder, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return 130
    verdict = judge(evidence)
    print(f"\n{table(evidence, verdict)}\n")
    if verdict.holds:
        shutil.rmtree(folder)
        return 0
    print(f"The promise is broken. {folder} keeps the service's log and the database's files.")
    return 1


def _plan() -> Plan:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m loadtests.chaos", description="Looks for every receipt's row.")
    parser.add_argument("--streams", type=int, default=usual.streams, help="stop after so many (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=usual.clients, help="at the same time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of every choice (default: %(default)s)")
    options = parser.parse_args()
    return Plan(streams=options.streams, clients=options.clients, seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
