"""What one client has read of one answer."""

import json

_END = b"\n\n"


class Answer:
    """Bytes in, facts out. `text` is what the chunks' `delta.content` add up to."""

    def __init__(self) -> None:
        self.text = ""
        self.events = 0
        self.done = False
        self.failed = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *events, self._rest = (self._rest + data).split(_END)
        for event in events:
            self._read(event)

    def _read(self, event: bytes) -> None:
        self.events += 1
        if event == b"data: [DONE]":
            self.done = True
        elif event.startswith(b"event: error\n"):
            self.failed = True
        elif event.startswith(b"data: "):
            for choice in json.loads(event[6:])["choices"]:
                self.text += choice["delta"].get("content") or ""
