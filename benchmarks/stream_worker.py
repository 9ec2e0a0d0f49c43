"""`python -m benchmarks.stream_worker URL`: a worker that answers at once, as if no model thought.

It says "ready" when it works, and ends when its standard input does.
"""

import asyncio
import sys

import treadle
from treadle import Message
from treadle.worker import Delivery, Turn, Worker


async def handle(delivery: Delivery) -> None:
    """Say a live token, if the client asks for one, and commit a message."""
    turn = Turn(delivery)
    thread_id = turn.request.thread_id
    message = turn.message()
    if thread_id == "tokens":
        await message.text("Hello ")
    async with delivery.batch() as step:
        said = Message.assistant("Hello there", id=message.id)
        step.threads.append(thread_id, turn.changes(said, status="done"))


async def main(url: str) -> None:
    """Work until the standard input ends."""
    async with treadle.open_store(url) as store:
        worker = Worker(store, handle)
        working = asyncio.create_task(worker.run())
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        worker.stop()
        await working


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
