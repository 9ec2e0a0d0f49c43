"""A store as large as a dashboard has to show it, on SQLite and on PostgreSQL."""

import time
from collections.abc import Iterator
from itertools import islice

import treadle
from benchmarks.peers.base import Subject
from benchmarks.peers.postgres.treadle_store import TreadleThreadsOnPostgres
from benchmarks.peers.treadle_store import TreadleThreads
from benchmarks.progress import report_of_child
from benchmarks.sizes import Sizes
from benchmarks.texts import text
from treadle import MailboxEntry, Message, RunRecord, Thread, ThreadMetadata
from treadle.core.commands import AnyCommand
from treadle.core.documents import Document
from treadle.core.mailboxes import EntryStatus, MailboxState
from treadle.core.restoring import (
    RestoreDocument,
    RestoreEntry,
    RestoreMailbox,
    RestoreRun,
    RestoreThread,
)
from treadle.core.threads import ThreadHead

AT_ONCE = 2_000
"""Rows in each batch that is put before anything is timed."""
DAYS = 90
DAY_MS = 24 * 60 * 60 * 1000
"""How long ago the oldest row was created: `DAYS` days."""
OWNERS = 1_000
AGENTS = 10
CONSUMERS = 100
COLLECTIONS = 20
ERRORS = (
    "TimeoutError: the model did not answer in 60 s",
    "RateLimitError: 429 Too Many Requests",
    "KeyError: 'customer'",
)
FULL = ("full-due", "full-scheduled", "full-paused", "full-dead", "full-accepted")
"""Mailboxes that have one of a hundred entries each; the others are in those of the threads."""
LONG = "long"
"""The thread with as many messages as one of a hundred entries."""


class Filling:
    """The rows of a store, in the sizes of a run.

    Of a hundred entries, 65 were accepted, 4 superseded or cancelled, 12 are due, 8 scheduled, 4
    wait for a retry, 1 is claimed, 1 is a dead letter, and 5 are in the full mailboxes. One of a
    hundred mailboxes is paused.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.threads, self.entries = sizes.shown
        self.now = time.time_ns() // 1_000_000

    async def fill(self, store: treadle.Store) -> None:
        """Put all rows."""
        for rows, about in (
            (self._threads(), f"{self.threads:,} threads"),
            (self._runs(), f"{self.threads:,} runs"),
            (self._entries(), f"{self.entries:,} entries"),
            (self._mailboxes(), "paused mailboxes"),
            (self._documents(), "documents"),
        ):
            put = 0
            while some := tuple(islice(rows, AT_ONCE)):
                await store.commit(some)
                put += len(some)
                report_of_child(f"dashboard: {put:,} of {about} are put")

    def _threads(self) -> Iterator[AnyCommand]:
        for number in range(self.threads):
            created_at = self._age(number, self.threads)
            thread = Thread(
                id=thread_id(number),
                resource_id=owner_of(number),
                parent_thread_id=thread_id(number // 2) if number % 20 == 19 else None,
                messages=(Message.user(text(number)[:80]), Message.assistant(text(number)[:200])),
                metadata=ThreadMetadata(
                    created_at=created_at,
                    updated_at=created_at + number % 1_000,
                    extra={"title": text(number)[:40]},
                ),
            )
            yield RestoreThread(head=ThreadHead(thread=thread, version=number % 10))
        messages = tuple(Message.user(text(number)) for number in range(self.entries // 100))
        yield RestoreThread(head=ThreadHead(thread=Thread(id=LONG, messages=messages), version=1))

    def _runs(self) -> Iterator[AnyCommand]:
        for number in range(self.threads):
            created_at = self._age(number, self.threads)
            run = RunRecord(
                run_id=run_id(number),
                thread_id=thread_id(number),
                agent_id=f"agent{number % AGENTS}",
                parent_run_id=run_id(number - 1) if number % 5 == 4 else None,
                status="running"
                if number % 100 == 7
                else "waiting"
                if number % 100 == 8
                else "done",
                created_at=created_at,
                updated_at=created_at + 5_000,
                input_tokens=number % 5_000,
                output_tokens=number % 700,
            )
            yield RestoreRun(run=run)

    def _entries(self) -> Iterator[AnyCommand]:
        for number in range(self.entries):
            yield RestoreEntry(entry=self._entry(number))

    def _entry(self, number: int) -> MailboxEntry:
        part, turn = number % 100, number // 100
        age = self._age(number, self.entries)
        mailbox = thread_id((number * 7) % self.threads)
        if part < 65:
            return self._ended(number, mailbox, "accepted")
        if part < 69:
            return self._ended(number, mailbox, "superseded" if part % 2 else "cancelled")
        if part < 81:
            return self._queued(number, mailbox, age, undelayed=True)
        if part < 89:
            return self._queued(number, mailbox, self.now + DAY_MS + turn)
        if part < 93:
            return self._queued(number, mailbox, self.now + DAY_MS + turn, error=turn)
        if part == 93:
            return self._claimed(number, mailbox)
        if part == 94:
            return self._ended(number, mailbox, "dead_letter", ERRORS[turn % len(ERRORS)])
        full = FULL[part - 95]
        match full:
            case "full-scheduled":
                return self._queued(number, full, self.now + DAY_MS + turn)
            case "full-dead":
                return self._ended(number, full, "dead_letter", ERRORS[turn % len(ERRORS)])
            case "full-accepted":
                return self._ended(number, full, "accepted")
            case _:
                return self._queued(number, full, age, undelayed=True)

    def _queued(
        self, number: int, mailbox: str, due: int, *, undelayed: bool = False, error: int = -1
    ) -> MailboxEntry:
        created_at = self._age(number, self.entries)
        return MailboxEntry(
            entry_id=entry_id(number),
            mailbox_id=mailbox,
            payload=text(number)[:200],
            available_at=due,
            turn=due if undelayed else None,
            attempt_count=0 if error < 0 else 1,
            last_error=None if error < 0 else ERRORS[error % len(ERRORS)],
            created_at=created_at,
            updated_at=created_at,
        )

    def _claimed(self, number: int, mailbox: str) -> MailboxEntry:
        created_at = self._age(number, self.entries)
        return MailboxEntry(
            entry_id=entry_id(number),
            mailbox_id=mailbox,
            payload=text(number)[:200],
            status="claimed",
            attempt_count=1,
            claim_token=f"token {number}",
            claimed_by=f"worker{number // 100 % CONSUMERS}",
            lease_until=self.now + DAY_MS + number,
            available_at=created_at,
            turn=created_at,
            created_at=created_at,
            updated_at=created_at,
        )

    def _ended(
        self, number: int, mailbox: str, status: EntryStatus, error: str | None = None
    ) -> MailboxEntry:
        created_at = self._age(number, self.entries)
        return MailboxEntry(
            entry_id=entry_id(number),
            mailbox_id=mailbox,
            payload=text(number)[:200],
            status=status,
            attempt_count=1,
            last_error=error,
            available_at=created_at,
            turn=created_at,
            created_at=created_at,
            updated_at=created_at + 1_000,
        )

    def _mailboxes(self) -> Iterator[AnyCommand]:
        paused = [thread_id(number) for number in range(0, self.threads, 100)]
        for mailbox_id in ("full-paused", *paused):
            yield RestoreMailbox(
                mailbox=MailboxState(
                    mailbox_id=mailbox_id,
                    updated_at=self.now,
                    last_turn=self.now,
                    paused_at=self.now,
                    pause_reason="a human has to decide",
                )
            )

    def _documents(self) -> Iterator[AnyCommand]:
        for number in range(self.threads // 5):
            document = Document(
                collection=f"collection{number % COLLECTIONS}",
                key=("user", f"{number:07d}"),
                value={"text": text(number)[:200]},
                version=1,
                created_at=self.now,
                updated_at=self.now,
            )
            yield RestoreDocument(document=document)

    def _age(self, number: int, of: int) -> int:
        return self.now - (of - number) * DAYS * DAY_MS // of


def thread_id(number: int) -> str:
    """Return the id of a thread, which is that of its mailbox."""
    return f"t{number:07d}"


def entry_id(number: int) -> str:
    """Return the id of an entry."""
    return f"e{number:08d}"


def run_id(number: int) -> str:
    """Return the id of a run."""
    return f"r{number:07d}"


def owner_of(number: int) -> str:
    """Return the owner of a thread: one of them has a tenth."""
    return "owner0" if number % 10 == 0 else f"owner{number % OWNERS}"


class TreadleShown(TreadleThreads):
    """A store that is filled, and then read."""


class TreadleShownOnPostgres(TreadleThreadsOnPostgres):
    """The same on a server."""


SHOWN: tuple[type[Subject], ...] = (TreadleShown, TreadleShownOnPostgres)
"""Subjects that are filled, and then read."""
