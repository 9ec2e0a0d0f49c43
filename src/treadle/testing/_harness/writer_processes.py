"""Writer processes: each commits one step after the other, until its end or until it is killed.

Half of the steps append at an expected version and send, some of them in place of a draft that they
take back. The other half claim, hold, append and settle. A writer reports each step once it is
acknowledged, so that the store can be compared with the reports.
"""

import asyncio
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from treadle import ClaimConflict, Store, Thread, ThreadChangeSet, VersionConflict
from treadle.clock import system_clock
from treadle.testing._harness.builders import said
from treadle.testing._harness.dump import all_entries
from treadle.testing._harness.process_pool import new_event, start_process
from treadle.testing._harness.timeouts import TIMEOUT_SECONDS, run_with_timeout
from treadle.testing.subject import Subject

THREADS = tuple(f"t{number}" for number in range(4))
MAILBOXES = tuple(f"m{number}" for number in range(6))
_DRAFT = "draft "
"""Begins a message that its writer was about to take back."""
_AGAIN = "-again"
"""Ends a message that stands in place of a draft: an append and a truncation were before it."""
_KILLED = -getattr(signal, "SIGKILL", signal.SIGTERM)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """When a writer ends by itself: after a time, or after a number of steps."""

    seconds: float = math.inf
    steps: int = sys.maxsize


UNTIL_KILLED = Limit()


class WriterProcesses:
    """Writer processes on one store; a `with` block ends those that still run."""

    def __init__(self, subject: Subject, folder: Path, lease_ms: int = 60_000) -> None:
        self._subject = subject
        self._lease_ms = lease_ms
        self._store = folder / "store"
        self._reports = folder / "reports"
        self._processes: dict[str, BaseProcess] = {}
        for created in (self._store, self._reports):
            created.mkdir()
        run_with_timeout(self._prepare())

    async def _prepare(self) -> None:
        async with self._opened() as store:
            for thread_id in THREADS:
                await store.threads.create(Thread(id=thread_id))

    def _opened(self) -> Store:
        return Store(self._subject.make(self._store, system_clock))

    def __enter__(self) -> "WriterProcesses":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.join()

    def start(self, name: str, limit: Limit = UNTIL_KILLED, start_event: Any = None) -> None:
        """Start another writer. It waits for the `start_event`, if there is one."""
        report = self._reports / name
        arguments = (self._subject, self._store, name, limit, start_event, self._lease_ms, report)
        self._processes[name] = start_process(_write, *arguments)

    def kill(self, name: str) -> None:
        """Kill a writer at once, with SIGKILL where there are signals."""
        self._processes[name].kill()
        self._end(name)

    def finish(self, name: str, limit: Limit) -> None:
        """Wait until a writer with this limit has ended."""
        seconds = 0 if limit.seconds == math.inf else limit.seconds
        self._processes[name].join(seconds + TIMEOUT_SECONDS)
        assert not self._processes[name].is_alive(), self._stuck(name)
        self._end(name)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        process.join()
        assert process.exitcode in (0, _KILLED), f"a writer ended with {process.exitcode}"

    def heard(self, name: str) -> list[str]:
        """Return the lines that a writer has reported."""
        report = self._reports / name
        return report.read_text().splitlines() if report.exists() else []

    def await_reports(self, name: str, lines: int) -> None:
        """Wait until a writer has reported so many lines, or has ended."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while len(self.heard(name)) < lines and self._processes[name].is_alive():
            assert time.monotonic() < end, self._stuck(name)
            time.sleep(0.002)

    def _stuck(self, name: str) -> str:
        return f"a writer is stuck after {self.heard(name)[-1:]}"

    def check(self) -> Counter[str]:
        """Check that the store has each reported step, once and whole; return the reports."""
        reports = Counter(
            line for each in self._reports.iterdir() for line in self.heard(each.name)
        )
        errors = [line for line in reports if line.startswith("error")]
        assert not errors, f"a writer failed: {errors[0]}"
        said, statuses = run_with_timeout(self._read())
        _assert_once(said, "a message")
        _check_sends(said, statuses, reports)
        _check_settlements(said, statuses, reports)
        return reports

    async def _read(self) -> tuple[list[str], dict[str, str]]:
        """Read the texts of all messages, and the status of each entry by its payload."""
        async with self._opened() as store:
            said: list[str] = []
            for thread_id in THREADS:
                head = await store.threads.load(thread_id)
                assert head is not None, f"thread {thread_id} is lost"
                count = len(head.thread.messages)
                texts = [str(message.content) for message in head.thread.messages]
                kept = [text for text in texts if not text.startswith(_DRAFT)]
                replaced = [text for text in kept if _is_replacement(text)]
                steps = count + 2 * len(replaced)
                assert head.version == steps, f"version {head.version} after {steps} steps"
                said += kept
            entries = await all_entries(store)
            _assert_once([str(entry.payload) for entry in entries], "an entry")
            return said, {str(entry.payload): entry.status for entry in entries}


def _is_replacement(text: str) -> bool:
    return text.endswith(_AGAIN) and not text.startswith("ack ")


def _assert_once(texts: list[str], what: str) -> None:
    doubled = [text for text, times in Counter(texts).items() if times > 1]
    assert doubled == [], f"{what} is there twice: {doubled[:3]}"


def _check_sends(said: list[str], statuses: dict[str, str], reports: Counter[str]) -> None:
    sent = {text for text in said if not text.startswith("ack ")}
    torn = sent ^ statuses.keys()
    assert not torn, f"steps with a message or an entry, and not both: {sorted(torn)[:3]}"
    lost = {line.removeprefix("sent ") for line in reports if line.startswith("sent ")} - sent
    assert not lost, f"acknowledged and lost: {sorted(lost)[:3]}"


def _check_settlements(said: list[str], statuses: dict[str, str], reports: Counter[str]) -> None:
    steps = [text for text in said if text.startswith("ack ")]
    settled = [text for step in steps for text in step.split()[2].split("+")]
    _assert_once(settled, "a settlement")
    accepted = {text for text, status in statuses.items() if status == "accepted"}
    torn = accepted ^ set(settled)
    assert not torn, f"settled in a mailbox or in a thread, and not both: {sorted(torn)[:3]}"
    acked = [line.removeprefix("acked ") for line in reports if line.startswith("acked ")]
    lost = {text for line in acked for text in line.split("+")} - set(settled)
    assert not lost, f"acknowledged and lost: {sorted(lost)[:3]}"


def race(subject: Subject, folder: Path, processes: int, limit: Limit) -> Counter[str]:
    """Let processes write at the same time, each up to the limit; return their reports."""
    start_event = new_event()
    with WriterProcesses(subject, folder) as writers:
        names = [f"p{number}" for number in range(processes)]
        for name in names:
            writers.start(name, limit, start_event)
        for name in names:
            writers.await_reports(name, 1)
        start_event.set()
        for name in names:
            writers.finish(name, limit)
        return writers.check()


KILLED_LEASE_MS = 100
"""Short, so that the next writer soon claims what a killed one held."""


def kill_one_after_another(subject: Subject, folder: Path, kills: int) -> None:
    """Kill one writer at a time, at a random moment, and check the store each time."""
    choose = random.Random(kills)
    with WriterProcesses(subject, folder, KILLED_LEASE_MS) as writers:
        for number in range(kills):
            writers.start(f"k{number}")
            _kill_in_full_swing(writers, f"k{number}", f"k{number}", choose)
            writers.check()


def kill_among_others(subject: Subject, folder: Path, kills: int) -> None:
    """Run two writers at a time, kill the older, and start another; at times kill both."""
    choose = random.Random(kills)
    with WriterProcesses(subject, folder, KILLED_LEASE_MS) as writers:
        writers.start("k0")
        for number in range(1, kills + 1):
            writers.start(f"k{number}")
            _kill_in_full_swing(writers, f"k{number - 1}", f"k{number}", choose)
            if number % max(kills // 10, 5) == 0:  # none is left: the next one recovers
                writers.kill(f"k{number}")
                writers.check()
                writers.start(f"k{number}")
                writers.await_reports(f"k{number}", 3)
        writers.kill(f"k{kills}")
        writers.check()


def _kill_in_full_swing(
    writers: WriterProcesses, victim: str, newest: str, choose: random.Random
) -> None:
    """Kill the victim a moment after the newest writer has begun to write."""
    writers.await_reports(newest, 3)
    time.sleep(choose.random() * 0.03)
    writers.kill(victim)


# --- in the process -------------------------------------------------------------------------------


def _write(
    subject: Subject,
    folder: Path,
    name: str,
    limit: Limit,
    start_event: Any,
    lease_ms: int,
    report: Path,
) -> None:
    log = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        store = Store(subject.make(folder, system_clock))
        asyncio.run(_work(store, name, limit, start_event, lease_ms, log))
    except Exception as error:
        os.write(log, f"error {error!r}\n".encode())


async def _work(
    store: Store, name: str, limit: Limit, start_event: Any, lease_ms: int, log: int
) -> None:
    choose = random.Random(name)
    run = os.getpid()
    async with store:
        os.write(log, b"open\n")
        if start_event is not None:
            await asyncio.to_thread(start_event.wait, TIMEOUT_SECONDS)
        end = time.monotonic() + limit.seconds
        for number in range(1, limit.steps + 1):
            if time.monotonic() > end or not _has_parent():
                return
            text = f"{name}-{run}-{number}"
            try:
                if (chance := choose.random()) < 0.1:
                    done = await _replace_and_send(store, choose, text)
                elif chance < 0.5:
                    done = await _append_and_send(store, choose, text)
                else:
                    done = await _claim_and_settle(store, choose, text, lease_ms)
            except (VersionConflict, ClaimConflict) as conflict:
                done = f"conflict {type(conflict).__name__}"
            os.write(log, f"{done}\n".encode())


def _has_parent() -> bool:
    """Return False if the process that has started this one is gone."""
    parent = parent_process()
    return parent is None or parent.is_alive()


async def _append_and_send(store: Store, choose: random.Random, text: str) -> str:
    thread_id = choose.choice(THREADS)
    head = await store.threads.load(thread_id)
    assert head is not None, f"thread {thread_id} is lost"
    async with store.batch() as step:
        step.threads.append(thread_id, _saying(text), expected=head.version)
        step.mailboxes.send(choose.choice(MAILBOXES), text, dedupe_key=text)
    return f"sent {text}"


async def _replace_and_send(store: Store, choose: random.Random, text: str) -> str:
    thread_id, text = choose.choice(THREADS), text + _AGAIN
    draft = await store.threads.append(thread_id, _saying(_DRAFT + text))
    async with store.batch() as step:
        step.threads.truncate(thread_id, drop=1, expected=draft.version)
        step.threads.append(thread_id, _saying(text))
        step.mailboxes.send(choose.choice(MAILBOXES), text, dedupe_key=text)
    return f"sent {text}"


async def _claim_and_settle(store: Store, choose: random.Random, text: str, lease_ms: int) -> str:
    entries = await store.mailboxes.claim(consumer="w", lease_ms=lease_ms, limit=2)
    if not entries:
        return "idle"
    async with store.batch() as step:
        for entry in entries:
            step.mailboxes.hold(entry)
            step.mailboxes.ack(entry)
        payloads = "+".join(str(entry.payload) for entry in entries)
        step.threads.append(choose.choice(THREADS), _saying(f"ack {text} {payloads}"))
    return f"acked {payloads}"


def _saying(text: str) -> ThreadChangeSet:
    return ThreadChangeSet(messages=(said(text, text),))
