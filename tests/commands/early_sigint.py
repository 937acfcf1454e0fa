"""`python -m app`, to which SIGINT is sent when it imports the module INTERRUPT_AT."""

import os
import runpy
import signal
import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _Interrupter(MetaPathFinder):
    def find_spec(self, name: str, *_: Any) -> None:
        if name == os.environ["INTERRUPT_AT"]:
            signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Interrupter())
    runpy.run_module("app", run_name="__main__")
