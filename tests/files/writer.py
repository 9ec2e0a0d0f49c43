"""A process that works a store until its time is over or it is killed, and reports each step."""

import asyncio
import os
import random
from pathlib import Path

import weft
from weft import ClaimConflict, Message, ThreadChangeSet, VersionConflict

THREADS = 4
MAILBOXES = 6


async def work(folder: Path, name: str, seconds: float, report: int) -> None:
    """Append with `expected` and send, or claim and settle; each step is told once committed."""
    choose = random.Random(name)
    loop = asyncio.get_running_loop()
    end, number = loop.time() + seconds, 0
    async with weft.open_store(folder) as store:
        while loop.time() < end:
            number += 1
            text = f"{name}-{number}"
            try:
                if choose.random() < 0.5:
                    done = await append_and_send(store, choose, text)
                else:
                    done = await claim_and_settle(store, choose, text)
            except (VersionConflict, ClaimConflict) as conflict:
                done = f"conflict {type(conflict).__name__}"
            os.write(report, f"{done}\n".encode())


async def append_and_send(store: weft.Store, choose: random.Random, text: str) -> str:
    thread_id = f"t{choose.randrange(THREADS)}"
    head = await store.threads.load(thread_id)
    assert head is not None
    async with store.batch() as step:
        step.threads.append(thread_id, said(text), expected=head.version)
        step.mailboxes.send(f"m{choose.randrange(MAILBOXES)}", text, dedupe_key=text)
    return f"sent {text}"


async def claim_and_settle(store: weft.Store, choose: random.Random, text: str) -> str:
    entries = await store.mailboxes.claim(consumer="w", lease_ms=60_000, limit=2)
    if not entries:
        return "idle"
    async with store.batch() as step:
        for entry in entries:
            step.mailboxes.hold(entry)
            step.mailboxes.ack(entry)
        payloads = "+".join(str(entry.payload) for entry in entries)
        step.threads.append(f"t{choose.randrange(THREADS)}", said(f"ack {text} {payloads}"))
    return f"acked {payloads}"


def said(text: str) -> ThreadChangeSet:
    return ThreadChangeSet(messages=(Message(id=text, role="user", content=text),))


def main(folder: str, name: str, seconds: float, report: int) -> None:
    """What the process runs."""
    asyncio.run(work(Path(folder), name, seconds, report))
