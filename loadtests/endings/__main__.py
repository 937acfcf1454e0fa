"""`python -m loadtests.endings`: exit code 0 if nothing leaks, however chats end."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from loadtests.endings.plan import Plan
from loadtests.endings.run import run
from loadtests.endings.table import table
from loadtests.endings.verdict import judge


def main() -> int:
    plan = _plan()
    folder = Path(tempfile.mkdtemp(prefix="endings-"))
    folder.chmod(0o755)  # root lends PostgreSQL to another user
    print(f"{plan.chats} chats, seed {plan.seed}, in {folder}", flush=True)
    try:
        evidence = run(plan, folder, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return 130
    problems = judge(evidence)
    print(f"\n{table(evidence, problems)}\n")
    if problems:
        print(f"{folder} keeps the service's log and the database's files.")
        return 1
    shutil.rmtree(folder)
    return 0


def _plan() -> Plan:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m loadtests.endings", description="Looks for what chats leave.")
    parser.add_argument("--chats", type=int, default=usual.chats, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of every choice (default: %(default)s)")
    options = parser.parse_args()
    return Plan(chats=options.chats, seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
