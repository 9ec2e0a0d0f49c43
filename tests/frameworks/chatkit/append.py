"""Add 50 items to a thread, and change its title each time: `python -m …append URL PROCESS`."""

import asyncio
import sys

from tests.frameworks.chatkit.requests import ME, User, said
from treadle import open_store
from treadle.integrations.chatkit import TreadleChatKitStore


async def main(url: str, process: str) -> None:
    async with open_store(url) as store:
        chats = TreadleChatKitStore[User](store, owner=lambda user: user.id)
        for number in range(50):
            await chats.add_thread_item("t", said(f"{process}-{number}", number), ME)
            thread = await chats.load_thread("t", ME)
            await chats.save_thread(thread.model_copy(update={"title": process}), ME)


asyncio.run(main(*sys.argv[1:]))
