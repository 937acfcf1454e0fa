"""Clients that wait for the end, whatever it is."""

import aiohttp

from loadtests.endings.endings import Ending
from tests.support.service import PATH


class Reader:
    """Every other one keeps its connection."""

    def __init__(self, url: str, *, keeps_connection: bool) -> None:
        self._url = url + PATH
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=not keeps_connection))

    async def close(self) -> None:
        await self._session.close()

    async def read(self, ending: Ending, name: str) -> None:
        """One chat, to its end."""
        headers = {"x-request-id": name}
        async with self._session.post(self._url, json=ending.body(name), headers=headers) as response:
            _ = await response.read()
