"""LiteLLM's proxy as a relay of the same streams, as it comes: one worker, no database, no keys, no callbacks."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """\
model_list:
  - model_name: openai/gpt-oss-20b
    litellm_params: {{model: openai/openai/gpt-oss-20b, api_base: "{upstream}", api_key: any}}
litellm_settings: {{disable_hf_tokenizer_download: true}}
"""
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",  # or it asks the internet for prices when it starts,
    "HF_HUB_OFFLINE": "1",  # … and for a tokenizer when it is asked first
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_LOG": "ERROR",
}


def installed() -> str | None:
    """Where it is: in the folder `TOOLS_PATH`, or on the `PATH`. It wants an environment of its own."""
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH")]
    return shutil.which("litellm", path=os.pathsep.join(filter(None, folders)))


@contextmanager
def relaying(command: str, folder: Path, *, upstream: str, port: int) -> Iterator[int]:
    """Its pid; `upstream` is a base URL."""
    folder.mkdir(exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(_CONFIG.format(upstream=upstream))
    where = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [command, *where, "--num_workers", "1", "--telemetry", "False"],
            cwd=folder,
            env=os.environ | _ENVIRONMENT,
            stdout=log,
            stderr=log,
        )
        try:
            yield process.pid
        finally:
            process.kill()  # it has nothing to save, and would wait for its connections
            process.wait()
