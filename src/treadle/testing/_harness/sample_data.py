"""A store with something of everything, and each kind of write and of read that it allows."""

from asyncio import gather
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from treadle import Batch, MailboxEntry, Store, Thread
from treadle.core.limits import LARGEST_TIME
from treadle.queries import ListDeltas, ListEntries, LoadRun
from treadle.testing._harness.builders import claim_by_id, entry, run, said, says, sets

MAILBOXES = ("box", "other", "mine", "third", "keyed")


class Sample(msgspec.Struct, frozen=True):
    """What `fill` has put into a store."""

    mine: MailboxEntry
    """The only entry of the mailbox `mine`, claimed for 30 seconds."""
    held: MailboxEntry
    """An entry of the mailbox `box`, claimed for 30 seconds."""


async def fill(store: Store) -> Sample:
    """Put threads, runs and entries in every status; in few commits, as many checks begin so."""
    async with store.batch() as step:
        step.threads.create(Thread(id="t", messages=(said("one", "m1"),), state={"n": 1}))
        step.threads.append("t", says("two", patches=(sets("a", 1),)))
        step.threads.append("t", says("taken back"))
        step.threads.truncate("t", keep=2)
        step.threads.create(Thread(id="u", resource_id="x"))
        step.runs.upsert(run("r", "t", created_at=1, metadata={"a": 1}))
        step.runs.upsert(run("w", "box", status="waiting", source_mailbox_entry_id="settled"))
        step.documents.put("memories", "ann", {"likes": ["tea"]})
        step.documents.put("memories", ("ann", "notes"), [1.0, None])
        step.documents.put("memories", ("bob", "notes"), "none", expires_at=5)
        step.documents.put("marks", "seen", True, expires_at=LARGEST_TIME)
        for each in (
            entry("mine", "mine"),
            entry("held", priority=9, closes_runs=True),
            entry("queued", dedupe_key="known", closes_runs=True),
            entry("second"),
            entry("dead", "other", updated_at=1),
            entry("done", "other", updated_at=1),
            entry("unwanted", "other"),
            entry("old", "third"),
            entry("keyed", "keyed", dedupe_key="known"),
        ):
            step.mailboxes.enqueue(each)
    await store.mailboxes.dead_letter(await claim_by_id(store, "dead"), error="no", now=5)
    done = await claim_by_id(store, "done")
    async with store.batch() as step:
        step.mailboxes.ack(done, now=5)
        step.mailboxes.cancel("unwanted")
        step.mailboxes.interrupt("third")
    mine, held = await gather(claim_by_id(store, "mine"), claim_by_id(store, "held"))
    return Sample(mine=mine, held=held)


Write = Callable[[Batch, Sample], object]
WRITES: dict[str, Write] = {
    "create": lambda step, _: step.threads.create(Thread(id="new", state=[1])),
    "append": lambda step, _: step.threads.append("t", says("three", run_id="r")),
    "append at a version": lambda step, _: step.threads.append("u", says("x"), expected=0),
    "save": lambda step, _: step.threads.save(Thread(id="t", state="saved")),
    "update": lambda step, _: step.threads.update("t", metadata={"a": 1}, resource_id="y"),
    "fork": lambda step, _: step.threads.fork("t", "forked"),
    "truncate": lambda step, _: step.threads.truncate("t", drop=1),
    "delete a thread": lambda step, _: step.threads.delete("u"),
    "upsert": lambda step, _: step.runs.upsert(run("r", "u", status="done")),
    "end a wait": lambda step, _: step.runs.end_wait("w"),
    "count tokens": lambda step, _: step.runs.count_tokens("r", input_tokens=99),
    "delete a run": lambda step, _: step.runs.delete("r"),
    "send": lambda step, _: step.mailboxes.send("new box", {"a": 1}, dedupe_key="new"),
    "enqueue": lambda step, _: step.mailboxes.enqueue(entry("new", "other")),
    "ensure": lambda step, _: step.mailboxes.ensure("box", now=77),
    "take": lambda step, sample: step.mailboxes.take(sample.held, limit=5, now=77),
    "ack": lambda step, sample: step.mailboxes.ack(sample.held),
    "nack": lambda step, sample: step.mailboxes.nack(sample.held, error="no"),
    "dead letter": lambda step, sample: step.mailboxes.dead_letter(sample.held, error="no"),
    "release": lambda step, sample: step.mailboxes.release(sample.held),
    "extend a lease": lambda step, sample: step.mailboxes.extend_lease(sample.held, now=77),
    "cancel": lambda step, _: step.mailboxes.cancel("queued"),
    "supersede": lambda step, _: step.mailboxes.supersede("queued", "newer"),
    "withdraw": lambda step, _: step.mailboxes.withdraw("box", "known"),
    "cancel pending": lambda step, _: step.mailboxes.cancel_pending("box"),
    "interrupt": lambda step, _: step.mailboxes.interrupt("box"),
    "requeue": lambda step, _: step.mailboxes.requeue("dead"),
    "purge": lambda step, _: step.mailboxes.purge(100),
    "purge a mailbox": lambda step, _: step.mailboxes.purge(
        100, mailbox_id="other", statuses=["dead_letter"]
    ),
    "delete a mailbox": lambda step, _: step.mailboxes.delete("box"),
    "put a document": lambda step, _: step.documents.put("memories", "ann", {"likes": ["cake"]}),
    "create a document": lambda step, _: step.documents.create("new", ("a", "b"), 1.0),
    "ensure a document": lambda step, _: step.documents.ensure("marks", "new", None, expires_at=9),
    "delete a document": lambda step, _: step.documents.delete("memories", ("ann", "notes")),
    "delete documents": lambda step, _: step.documents.delete_range("memories"),
    "touch a document": lambda step, _: step.documents.touch("marks", "seen", expires_at=None),
    "purge documents": lambda step, _: step.documents.purge(6),
}

Read = Callable[[Store], Awaitable[Any]]
READS: dict[str, Read] = {
    "load a thread": lambda store: store.threads.load("t"),
    "a summary": lambda store: store.threads.summary("t"),
    "summaries of threads": lambda store: store.threads.list_summaries(by="updated_at"),
    "page messages": lambda store: store.threads.list_messages("t"),
    "list threads": lambda store: store.threads.list(),
    "deltas": lambda store: store.threads.list_deltas("t", 0),
    "load a run": lambda store: store.runs.load("r"),
    "list runs": lambda store: store.runs.list(),
    "search runs": lambda store: store.runs.search(by="updated_at", resource_id="x"),
    "count runs": lambda store: store.runs.count(),
    "usage": lambda store: store.runs.usage(by="owner"),
    "the active run": lambda store: store.runs.find_active("t"),
    "load an entry": lambda store: store.mailboxes.load_entry("queued"),
    "load claims": lambda store: store.mailboxes.load_claims(["held", "queued"]),
    "explain an entry": lambda store: store.mailboxes.explain("second"),
    "list entries": lambda store: store.mailboxes.list_entries(),
    "search entries": lambda store: store.mailboxes.search_entries(statuses=["queued", "claimed"]),
    "report entries": lambda store: store.mailboxes.report("box"),
    "count entries": lambda store: store.mailboxes.count_entries(),
    "load a state": lambda store: store.mailboxes.load("box"),
    "list states": lambda store: store.mailboxes.list(),
    "summaries of mailboxes": lambda store: store.mailboxes.list_summaries(),
    "load documents": lambda store: store.documents.load_many("memories", ["ann", "none"]),
    "list documents": lambda store: store.documents.list("memories", prefix="ann"),
    "list expired documents": lambda store: store.documents.list_expired(),
    "list collections": lambda store: store.documents.collections(),
    "queries together": lambda store: store.read(
        ListDeltas(thread_id="t", after_version=0), ListEntries(), LoadRun(run_id="r")
    ),
}
"""One for each reading method of a backend."""
