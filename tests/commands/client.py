"""A client of a service that `python -m app` has started."""

import httpx2

from tests.support.service import PATH, Reply

FREE_PORT = {"PORT": "0"}


def chat(http: httpx2.Client, url: str, prompt: str = "Hello") -> Reply:
    response = http.post(url + PATH, json={"messages": [{"role": "user", "content": prompt}]})
    return Reply(response.status_code, response.headers, response.content)
