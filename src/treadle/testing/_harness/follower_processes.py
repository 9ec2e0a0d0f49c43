"""Follower processes: each writes to one thread, truncates it, changes its labels and follows it.

They report what was acknowledged and what they have seen. At the end the thread must be what the
deltas make of it, all must have seen each of its deltas once and in order, and nothing that was
acknowledged may be missing.
"""

import asyncio
import os
import random
import time
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from treadle import Store, Thread, ThreadDelta, ThreadHead
from treadle.clock import system_clock
from treadle.testing._harness.builders import says
from treadle.testing._harness.expect import expect
from treadle.testing._harness.process_pool import new_event, start_process
from treadle.testing._harness.timeouts import TIMEOUT_SECONDS, run_with_timeout
from treadle.testing.subject import Subject

_LAST = "the end"
"""The text of the last message: a follower ends with it."""
_Seen: TypeAlias = tuple[tuple[str, ...], int | None]
"""A delta: the texts of its messages, and to how many messages it truncates."""


class Report(msgspec.Struct):
    """What a process has done and seen."""

    error: str | None = None
    appended: dict[int, str] = {}
    """The texts of its acknowledged appends, by version."""
    truncated: list[int] = []
    """The versions of its truncations."""
    updates: int = 0
    """How many times it has changed its label."""
    seen: list[tuple[int, _Seen]] = []
    """The versions that it has seen, in their order, and their deltas."""
    others: list[str] = []
    """What came that is not a delta."""


def write_and_follow(subject: Subject, folder: Path, processes: int, seconds: float) -> None:
    """Let processes write to a thread and follow it for a time, and check what they report."""
    store, reports = folder / "store", folder / "reports"
    for created in (store, reports):
        created.mkdir()
    run_with_timeout(_create(subject, store))
    start, names = new_event(), [f"p{number}" for number in range(processes)]
    with _ended() as started:
        for name in names:
            arguments = (subject, store, name, seconds, start, reports / name)
            started.append(start_process(_work, *arguments))
        _await(reports, names, ".open")
        start.set()
        _await(reports, names, ".wrote", seconds)
        deltas, head = run_with_timeout(_finish(subject, store))
        _await(reports, names, ".json")
    _check(deltas, head, {name: _read(reports / f"{name}.json") for name in names})


@contextmanager
def _ended() -> Generator[list[BaseProcess]]:
    """End the processes that the block starts."""
    started: list[BaseProcess] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.join()


def _await(reports: Path, names: list[str], suffix: str, seconds: float = 0) -> None:
    """Wait until each process has written a file."""
    end = time.monotonic() + seconds + TIMEOUT_SECONDS
    while missing := [name for name in names if not (reports / (name + suffix)).exists()]:
        failed = [name for name in missing if (reports / f"{name}.json").exists()]
        assert not failed, f"a process failed: {_read(reports / f'{failed[0]}.json').error}"
        assert time.monotonic() < end, f"{missing} are stuck before {suffix}"
        time.sleep(0.01)


def _read(path: Path) -> Report:
    return msgspec.json.decode(path.read_bytes(), type=Report)


async def _create(subject: Subject, folder: Path) -> None:
    async with Store(subject.make(folder, system_clock)) as store:
        await store.threads.create(Thread(id="t"))


async def _finish(subject: Subject, folder: Path) -> tuple[tuple[ThreadDelta, ...], ThreadHead]:
    """Append the last message; return all deltas, and the thread."""
    async with Store(subject.make(folder, system_clock)) as store:
        await store.threads.append("t", says(_LAST))
        deltas, head = await store.threads.list_deltas("t", 0), await store.threads.load("t")
        assert deltas is not None, "deltas are lost"
        assert head is not None, "the thread is lost"
        return deltas, head


def _check(deltas: tuple[ThreadDelta, ...], head: ThreadHead, reports: dict[str, Report]) -> None:
    listed = [(delta.version, _seen(delta)) for delta in deltas]
    expect([version for version, _ in listed], list(range(1, head.version + 1)))
    texts: list[str] = []
    for _, (added, kept) in listed:
        texts = [*texts[:kept], *added]
    expect([message.content for message in head.thread.messages], texts)
    of_version = dict(listed)
    for name, report in reports.items():
        assert report.error is None, f"process {name} failed: {report.error}"
        assert report.others == [], f"process {name} saw {report.others}"
        expect([version for version, _ in report.seen], [version for version, _ in listed])
        expect(report.seen, listed)
        for version, text in report.appended.items():
            expect(of_version[version], ((text,), None))
        for version in report.truncated:
            assert of_version[version][1] is not None, f"a truncation is lost: version {version}"
        expect(head.thread.metadata.extra.get(name, 0), report.updates)
    assert any(report.appended for report in reports.values()), "nothing was appended"


def _seen(delta: ThreadDelta) -> _Seen:
    texts = tuple(str(message.content) for message in delta.changes.messages)
    return texts, delta.changes.truncated_to


# --- in the process -------------------------------------------------------------------------------


def _work(
    subject: Subject, folder: Path, name: str, seconds: float, start: Any, path: Path
) -> None:
    report = Report()
    try:
        store = Store(subject.make(folder, system_clock))
        asyncio.run(_write_and_follow(store, name, seconds, start, path, report))
    except Exception as error:
        report.error = repr(error)
    written = path.with_suffix(".part")
    written.write_bytes(msgspec.json.encode(report))
    os.replace(written, path.with_suffix(".json"))


async def _write_and_follow(
    store: Store, name: str, seconds: float, start: Any, path: Path, report: Report
) -> None:
    async with store:
        following = asyncio.create_task(_follow(store, report))
        path.with_suffix(".open").touch()
        await asyncio.to_thread(start.wait, TIMEOUT_SECONDS)
        await _write(store, name, seconds, report)
        path.with_suffix(".wrote").touch()
        await asyncio.wait_for(following, TIMEOUT_SECONDS)


async def _write(store: Store, name: str, seconds: float, report: Report) -> None:
    choose = random.Random(name)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        match choose.choices(("append", "truncate", "update"), (6, 1, 2))[0]:
            case "append":
                text = f"{name}-{len(report.appended)}"
                done = await store.threads.append("t", says(text))
                report.appended[done.version] = text
            case "truncate":
                gone = await store.threads.truncate("t", drop=choose.randint(1, 3))
                if gone.removed:
                    report.truncated.append(gone.version)
            case _:
                await store.threads.update("t", metadata={name: report.updates + 1})
                report.updates += 1
        await asyncio.sleep(choose.random() * 0.02)


async def _follow(store: Store, report: Report) -> None:
    async for item in store.threads.follow("t", 0):
        if not isinstance(item, ThreadDelta):
            report.others.append(type(item).__name__)
            continue
        report.seen.append((item.version, _seen(item)))
        if _seen(item)[0] == (_LAST,):
            return
