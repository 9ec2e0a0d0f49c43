"""The streams of events that a server has open, and their end."""

import asyncio


class Streams:
    """The open streams of a server: so that each can be ended before the server stops."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End all streams, and let no new one begin."""
        self._ended.set()

    async def wait_for_end(self) -> None:
        """Return when all streams have to end."""
        await self._ended.wait()
