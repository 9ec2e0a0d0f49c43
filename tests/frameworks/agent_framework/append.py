"""Append to the history of a session, 50 times: `python -m …append URL PROCESS`."""

import asyncio
import sys

from agent_framework import Message

from treadle import open_store
from treadle.integrations.agent_framework import TreadleHistoryProvider


async def main(url: str, process: str) -> None:
    async with open_store(url) as store:
        history = TreadleHistoryProvider(store)
        for number in range(50):
            await history.save_messages("s", [Message("user", [f"{process}-{number}"])])


asyncio.run(main(*sys.argv[1:]))
