"""`python -m tests.support.stand_in_gateway --config-file FILE`: a double of TensorZero's gateway.

The gateway is in no package registry. The double speaks its HTTP and reads its configuration as far as the benchmark
uses them. Like the gateway, it writes chunks of its own: only index, content and finish_reason are the provider's.
"""

import json
import sys
import tomllib
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MODEL = "tensorzero::model_name::"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    config: dict[str, Any]

    def do_GET(self) -> None:
        found = self.path == "/health"
        self.send_response(200 if found else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = self.config["models"][body["model"].removeprefix(_MODEL)]
        provider = model["providers"][model["routing"][0]]
        assert self.path == "/openai/v1/chat/completions"
        assert provider["type"] == "openai"
        assert provider["api_key_location"] == "none"
        url = urlsplit(provider["api_base"])
        upstream = HTTPConnection(url.netloc)
        upstream.request("POST", f"{url.path}/chat/completions", json.dumps(body | {"model": provider["model_name"]}))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for line in upstream.getresponse():
            if line.startswith(b"data: "):
                self._write_chunk(_event(line.removeprefix(b"data: "), body["model"]))
        self._write_chunk(b"")
        upstream.close()

    def log_message(self, *_: object) -> None:
        pass

    def _write_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def _event(data: bytes, model: str) -> bytes:
    if data.startswith(b"[DONE]"):
        return b"data: [DONE]\n\n"
    [choice] = json.loads(data)["choices"]
    delta = {"content": choice["delta"].get("content")}
    choices = [{"index": 0, "finish_reason": choice["finish_reason"], "logprobs": None, "delta": delta}]
    chunk = {"id": "0199-inference", "episode_id": "0199-episode", "choices": choices, "model": model}
    return b"data: %s\n\n" % json.dumps(chunk, separators=(",", ":")).encode()


if __name__ == "__main__":
    option, file = sys.argv[1:]
    assert option == "--config-file"
    Handler.config = tomllib.loads(Path(file).read_text())
    host, _, port = Handler.config["gateway"]["bind_address"].partition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
