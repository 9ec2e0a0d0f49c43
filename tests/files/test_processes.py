"""Several real processes on one folder, some of them killed."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import weft
from weft import Message, Thread, ThreadChangeSet, VersionConflict

APPENDER = """
import asyncio, sys, weft
from weft import Message, ThreadChangeSet, VersionConflict

async def main(folder, name, seconds):
    async with weft.open_store(folder) as store:
        loop = asyncio.get_running_loop()
        end, number = loop.time() + seconds, 0
        while loop.time() < end:
            head = await store.threads.load("t")
            text = f"{name}-{number}"
            changes = ThreadChangeSet(messages=(Message(id=text, role="user", content=text),))
            try:
                async with store.batch() as step:
                    step.threads.append("t", changes, expected=head.version)
                    step.mailboxes.send("m-" + name, text, dedupe_key=text)
            except VersionConflict:
                continue
            print(text, flush=True)
            number += 1

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


def start(folder: Path, name: str, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", APPENDER, str(folder), name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def prepare(folder: Path) -> None:
    async with weft.open_store(folder) as store:
        await store.threads.create(Thread(id="t"))


async def check(folder: Path, acknowledged: list[str]) -> None:
    """Each acknowledged step is there whole; every other whole or absent."""
    async with weft.open_store(folder) as store:
        head = await store.threads.load("t")
        assert head is not None
        texts = [message.content for message in head.thread.messages]
        assert len(set(map(str, texts))) == len(texts) == head.version
        assert set(acknowledged) <= set(map(str, texts))
        entries: list[object] = []
        while True:
            page = await store.mailboxes.list(offset=len(entries), limit=200)
            entries += [entry.payload for entry in page.items]
            if not page.has_more:
                break
        assert sorted(map(str, entries)) == sorted(map(str, texts))


def test_processes_appending_with_expected_lose_and_double_nothing(tmp_path: Path) -> None:
    asyncio.run(prepare(tmp_path))
    processes = [start(tmp_path, f"p{number}", 3) for number in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    acknowledged = [line for output in outputs for line in output.split()]
    assert len(acknowledged) > 20
    asyncio.run(check(tmp_path, acknowledged))


def test_a_killed_writer_leaves_every_step_whole_or_absent(tmp_path: Path) -> None:
    asyncio.run(prepare(tmp_path))
    acknowledged: list[str] = []
    for number in range(12):
        process = start(tmp_path, f"k{number}", 30)
        assert process.stdout is not None
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(0.01 * number)
        process.send_signal(signal.SIGKILL)
        whole, _, _ = process.stdout.read().rpartition("\n")
        acknowledged += whole.split()
        process.wait(timeout=30)
        process.stdout.close()
        asyncio.run(check(tmp_path, acknowledged))


async def test_a_thread_s_document_is_in_place_when_the_append_returns(tmp_path: Path) -> None:
    async with weft.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        for number in range(1, 4):
            await store.threads.append("t", ThreadChangeSet(messages=(Message.user("hi"),)))
            document = json.loads((tmp_path / "t.json").read_bytes())
            assert document["_version"] == number == len(document["messages"])


async def test_two_handles_see_each_other_s_writes(tmp_path: Path) -> None:
    async with weft.open_store(tmp_path) as one, weft.open_store(tmp_path) as other:
        await one.threads.create(Thread(id="t"))
        for number in range(20):
            store, reader = (one, other) if number % 2 else (other, one)
            await store.threads.append("t", ThreadChangeSet(), expected=number)
            head = await reader.threads.load("t")
            assert head is not None
            assert head.version == number + 1
        try:
            await one.threads.append("t", ThreadChangeSet(), expected=3)
        except VersionConflict as conflict:
            actual = conflict.actual
        else:
            actual = 0
        assert actual == 20
