"""Several real processes on one folder, some of them killed."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import weft
from tests.files import writer
from weft import Message, Thread, ThreadChangeSet, VersionConflict

FORKING = """
import os, sys
from tests.files import writer
for line in sys.stdin:
    folder, name, seconds, report = line.split("\\t")
    if os.fork() == 0:
        log = os.open(report.strip(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(log, f"pid {os.getpid()}\\n".encode())
        try:
            writer.main(folder, name, float(seconds), log)
            os.write(log, b"end\\n")
        except BaseException as error:
            os.write(log, f"error {error!r}\\n".encode())
        os._exit(0)
"""


class Writers:
    """Starts writers by forking a process that has imported all they need; a kill costs no more."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self._reports = folder / "reports"
        self._reports.mkdir()
        self._parent = subprocess.Popen(
            [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, text=True
        )

    def start(self, name: str, seconds: float = 60) -> None:
        assert self._parent.stdin is not None
        report = self._reports / name
        self._parent.stdin.write(f"{self.store}\t{name}\t{seconds}\t{report}\n")
        self._parent.stdin.flush()

    def heard(self, name: str) -> list[str]:
        """The lines a writer has reported; each was written whole."""
        report = self._reports / name
        return report.read_text().splitlines() if report.exists() else []

    def wait(self, name: str, lines: int) -> list[str]:
        """Wait until a writer has reported so much."""
        end = time.monotonic() + 60
        while len(heard := self.heard(name)) < lines and not (heard and heard[-1] == "end"):
            assert time.monotonic() < end, (name, heard)
            time.sleep(0.002)
        return heard

    def kill(self, name: str) -> None:
        pid = int(self.wait(name, 1)[0].removeprefix("pid "))
        os.kill(pid, signal.SIGKILL)

    def all_heard(self) -> Counter[str]:
        """Everything that was reported, without the process's own notes."""
        lines = (line for report in self._reports.iterdir() for line in self.heard(report.name))
        return Counter(line for line in lines if line != "end" and not line.startswith("pid "))

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(timeout=60)


async def prepare(folder: Path) -> None:
    async with weft.open_store(folder) as store:
        for number in range(writer.THREADS):
            await store.threads.create(Thread(id=f"t{number}"))


async def read_all(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Every message of every thread, and every entry's status by its payload."""
    async with weft.open_store(folder) as store:
        said: list[str] = []
        for number in range(writer.THREADS):
            head = await store.threads.load(f"t{number}")
            assert head is not None
            assert head.version == len(head.thread.messages)  # one message a step: no gap
            said += [str(message.content) for message in head.thread.messages]
        statuses: dict[str, str] = {}
        offset = 0
        while True:
            page = await store.mailboxes.list(offset=offset, limit=200)
            for entry in page.items:
                assert str(entry.payload) not in statuses
                statuses[str(entry.payload)] = entry.status
            offset += len(page.items)
            if not page.has_more:
                return said, statuses


def check(folder: Path, reports: Counter[str]) -> None:
    """Acknowledged steps are there, all steps are whole, and nothing is there twice."""
    said, statuses = asyncio.run(read_all(folder))
    assert [line for line in reports if line.startswith("error")] == []
    assert max(Counter(said).values(), default=1) == 1
    sent = {text for text in said if not text.startswith("ack ")}
    assert sent == statuses.keys()
    assert {line.removeprefix("sent ") for line in reports if line.startswith("sent ")} <= sent
    settled = [
        text for step in said if step.startswith("ack ") for text in step.split()[2].split("+")
    ]
    assert max(Counter(settled).values(), default=1) == 1
    assert set(settled) == {text for text, status in statuses.items() if status == "accepted"}
    acked = [line.removeprefix("acked ") for line in reports if line.startswith("acked ")]
    assert {text for line in acked for text in line.split("+")} <= set(settled)


def race(folder: Path, processes: int, seconds: float) -> Counter[str]:
    """Let processes write at the same time until their time is over."""
    asyncio.run(prepare(folder / "store"))
    writers = Writers(folder)
    names = [f"p{number}" for number in range(processes)]
    for name in names:
        writers.start(name, seconds)
    for name in names:
        writers.wait(name, 10**9)
    writers.close()
    reports = writers.all_heard()
    check(writers.store, reports)
    return reports


def kill_again_and_again(folder: Path, kills: int) -> None:
    """Two writers at a time; the one that is longer there is killed, and another comes."""
    asyncio.run(prepare(folder / "store"))
    writers = Writers(folder)
    choose = random.Random(kills)
    writers.start("k0")
    for number in range(1, kills + 1):
        writers.start(f"k{number}")
        writers.wait(f"k{number}", 2)
        time.sleep(choose.random() * 0.03)
        writers.kill(f"k{number - 1}")
        if number % (kills // 10) == 0:  # nobody is left: the next one recovers
            writers.kill(f"k{number}")
            check(writers.store, writers.all_heard())
            writers.start(f"k{number}-next")
            writers.wait(f"k{number}-next", 2)
            writers.kill(f"k{number}-next")
    writers.kill(f"k{kills}")
    writers.close()
    check(writers.store, writers.all_heard())


def test_eight_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    reports = race(tmp_path, processes=8, seconds=20)
    assert sum(reports.values()) > 100


def test_two_hundred_killed_writers_leave_every_step_whole_or_absent(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=200)


@pytest.mark.soak
def test_thousands_of_killed_writers_leave_every_step_whole_or_absent(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=3000)


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
        with pytest.raises(VersionConflict) as conflict:
            await one.threads.append("t", ThreadChangeSet(), expected=3)
        assert conflict.value.actual == 20
