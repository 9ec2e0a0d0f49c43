"""Treadle, on any of its backends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

import treadle
from benchmarks.peers.base import (
    BatchingQueueSubject,
    DocumentSubject,
    EditSubject,
    HeadSubject,
    QueueSubject,
    Subject,
    key_of,
)
from benchmarks.stores import KNOWN, durability_of, url_in
from benchmarks.texts import payload
from treadle import MailboxEntry, Message, Thread, ThreadChangeSet, ThreadMetadata
from treadle.worker import Delivery, Worker

LOOPS = 4
"""How many loops claim and settle batches in a process that drains."""
ENTRIES_EACH = 4
"""Entries in each mailbox, of which one can be claimed at a time."""
SENT_AT_ONCE = 500
"""Entries or documents in each batch that is sent before anything is timed."""
CREATED_AT_ONCE = 20
"""Threads in each batch that is created before anything is timed."""


def says(text: str) -> ThreadChangeSet:
    """Return a change set with one message."""
    return ThreadChangeSet(messages=(Message.user(text),))


async def claim_and_ack(store: treadle.Store) -> None:
    """Claim and acknowledge one entry."""
    [entry] = await store.mailboxes.claim(consumer="bench")
    await store.mailboxes.ack(entry)


async def send_all(
    store: treadle.Store, payloads: Iterable[str], mailboxes: int, prefix: str = "m"
) -> None:
    """Send payloads in batches, to so many mailboxes whose ids begin with the prefix."""
    numbered = enumerate(payloads)
    while some := list(islice(numbered, SENT_AT_ONCE)):
        async with store.batch() as step:
            for number, payload in some:
                step.mailboxes.send(f"{prefix}{number % mailboxes}", payload)


def opening_and_closing(url: str) -> Callable[[int], Awaitable[None]]:
    """Return an operation that opens a store and closes it."""

    async def open_and_close(_: int) -> None:
        async with treadle.open_store(url):
            pass

    return open_and_close


async def drain(
    store: treadle.Store, batch: int, loops: int, handle: Callable[[str], object]
) -> None:
    """Claim batches in so many loops, and settle each with one `store.batch()`."""

    async def loop() -> None:
        while True:
            entries = await store.mailboxes.claim(batch, consumer="bench")
            if not entries:
                if not await _has_queued(store):
                    return
                await store.mailboxes.wait(100)
            for entry in entries:
                handle(str(entry.payload))
            async with store.batch() as step:
                for entry in entries:
                    step.mailboxes.ack(entry)

    await asyncio.gather(*(loop() for _ in range(loops)))


async def _has_queued(store: treadle.Store) -> bool:
    # Not `count_entries`: it looks at all entries that have ever ended.
    page = await store.mailboxes.search_entries(statuses=["queued"], order="asc", limit=1)
    return bool(page.items)


async def work(store: treadle.Store, concurrency: int, handle: Callable[[str], object]) -> None:
    """Run a worker with so many concurrent handlers, until there is nothing to do."""

    async def handle_delivery(delivery: Delivery) -> None:
        handle(str(delivery.entry.payload))

    await Worker(store, handle_delivery, concurrency=concurrency).run(until_idle=True)


class _Treadle(Subject):
    name = "treadle"
    uses_store = True

    async def open(self) -> None:
        await self.connect()

    async def close(self) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Open the store."""
        self.opened = await treadle.open_store(self.url()).open()

    async def disconnect(self) -> None:
        """Close the store."""
        await self.opened.close()

    def url(self) -> str:
        """Return the URL of the store."""
        return url_in(self.store, self.folder)

    def durability(self) -> str:
        return durability_of(self.store)


class TreadleThreads(_Treadle, EditSubject):
    """`store.threads`."""

    commits_together = True

    async def start(self, name: str, texts: Sequence[str] = ()) -> str:
        messages = tuple(map(Message.user, texts))
        await self.opened.threads.create(Thread(id=name, messages=messages))
        return name

    async def append(self, thread: str, text: str) -> None:
        await self.opened.threads.append(thread, says(text))

    async def take_back(self, thread: str) -> None:
        await self.opened.threads.truncate(thread, drop=1)

    async def rename(self, thread: str, title: str) -> None:
        await self.opened.threads.update(thread, metadata={"title": title})

    async def last(self, thread: str, count: int) -> Sequence[object]:
        page = await self.opened.threads.list_messages(thread, order="desc", limit=count)
        return page.messages[::-1]


class TreadleHeads(_Treadle, HeadSubject):
    """`threads.summary`, `threads.list_summaries` and `threads.update`."""

    async def fill(self, threads: int, texts: Sequence[str]) -> None:
        messages = tuple(map(Message.user, texts))
        for first in range(0, threads, CREATED_AT_ONCE):
            async with self.opened.batch() as step:
                for number in range(first, min(first + CREATED_AT_ONCE, threads)):
                    thread = Thread(
                        id=f"t{number}",
                        resource_id="owner",
                        messages=messages,
                        metadata=ThreadMetadata(extra={"title": f"about {number}"}),
                    )
                    step.threads.create(thread)

    async def head(self, number: int) -> object:
        return await self.opened.threads.summary(f"t{number}")

    async def newest(self, count: int) -> Sequence[object]:
        page = await self.opened.threads.list_summaries(
            by="updated_at", order="desc", resource_id="owner", limit=count
        )
        return page.items

    async def rename(self, number: int, title: str) -> None:
        await self.opened.threads.update(f"t{number}", metadata={"title": title})


class TreadleDocuments(_Treadle, DocumentSubject):
    """`store.documents`."""

    async def fill(self, count: int) -> None:
        for first in range(0, count, SENT_AT_ONCE):
            async with self.opened.batch() as step:
                for number in range(first, min(first + SENT_AT_ONCE, count)):
                    step.documents.put("known", key_of(number), payload(number))
        await self.opened.threads.create(Thread(id="t"))

    async def put(self, number: int, text: str) -> None:
        await self.opened.documents.put("known", key_of(number), text)

    async def load(self, number: int) -> object:
        return await self.opened.documents.load("known", key_of(number))

    async def page(self, after: int, count: int) -> Sequence[object]:
        page = await self.opened.documents.list("known", after=key_of(after), limit=count)
        return page.items

    async def say(self, text: str) -> None:
        await self.opened.threads.append("t", says(text))


class TreadleFiles(TreadleThreads):
    """Treadle on plain files, for all stores of the run."""

    name = "treadle (files)"
    uses_store = False

    def url(self) -> str:
        return url_in(KNOWN["files"], self.folder)

    def durability(self) -> str:
        return "full"


class TreadleMailboxes(_Treadle, QueueSubject):
    """`store.mailboxes`; each worker claims one entry at a time."""

    after_crash = "claimed again when its lease ends"

    async def fill(self, payloads: Sequence[str]) -> None:
        await send_all(self.opened, payloads, max(1, len(payloads) // ENTRIES_EACH))

    async def claim(self) -> MailboxEntry | None:
        entries = await self.opened.mailboxes.claim(consumer="bench")
        return entries[0] if entries else None

    async def ack(self, job: MailboxEntry) -> None:
        await self.opened.mailboxes.ack(job)

    def payload(self, job: MailboxEntry) -> str:
        return str(job.payload)


class TreadleMailboxesAtOnce(TreadleMailboxes, BatchingQueueSubject):
    """As `treadle.Worker` does it: one claim of many entries, and an ack for each."""

    name = "treadle, one claim for all"

    async def claim_several(self, limit: int) -> Sequence[MailboxEntry]:
        return await self.opened.mailboxes.claim(limit, consumer="bench")

    async def ack_several(self, jobs: Sequence[MailboxEntry]) -> None:
        await asyncio.gather(*map(self.ack, jobs))
