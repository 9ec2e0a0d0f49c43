"""Extremes: both ends of what every field takes, through every command and query that has it.

The fields are found by walking the types, so a new one is tested without a word here.
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec.inspect import AnyType, BoolType, FloatType, IntType, LiteralType, Metadata, StrType

from treadle import InvalidValue, RunMeta, RunRecord, Store, Thread, ThreadHead
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.commands import AnyCommand, Command
from treadle.core.document_keys import KEY_BYTES
from treadle.core.documents import Document
from treadle.core.limits import DEPTH, LARGEST_INTEGER, LARGEST_TIME, SMALLEST_INTEGER
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.queries import Query
from treadle.core.restoring import RestoreDocument, RestoreEntry, RestoreMailbox, RestoreThread
from treadle.core.run_commands import UpsertRun
from treadle.testing._harness.builders import claim_ids, claim_one, entry, generation, says
from treadle.testing._harness.call_results import plain, result_or_error
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.extremes import Leaf, concrete, filled
from treadle.testing._harness.harness import Harness
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


class Extreme(msgspec.Struct, frozen=True):
    """What the fields of one kind hold; an integer is brought into the range of its field."""

    text: str
    integer: int
    number: float
    json: Any


def _nested(depth: int) -> Any:
    value: Any = {"\x00": [-0.0, 0.0, LARGEST_INTEGER, SMALLEST_INTEGER]}
    for _ in range(depth - 2):
        value = [value]
    return value


LONG = "".join(sha256(bytes([number])).hexdigest() for number in range(256))
"""16 kB in which nothing repeats itself: a database cannot press it into an index."""

EXTREMES = {
    "largest": Extreme('\u202e\x00\x1f\x7f"\\ \u2028\uffff 🧵', 2**64, 1e308, _nested(DEPTH - 1)),
    "smallest": Extreme("", -(2**64), -0.0, ""),
    "long": Extreme(LONG, 2**53 + 1, 5e-324, {LONG: LONG}),
    "none": Extreme("x", 0, 0.0, None),
}

FIXED: dict[str, Any] = {
    "enqueue.entry.status": "queued",
    "enqueue.entry.generation": 0,
    "enqueue.entry.attempt_count": 0,
    "enqueue.entry.claim_token": None,
    "enqueue.entry.claimed_by": None,
    "enqueue.entry.lease_until": None,
    "appendThread.expected": 0,
    "appendThread.changes.truncated_to": None,
    "forkThread.expected": 0,
    "saveThread.expected": 0,
    "truncateThread.expected": 0,
    "truncateThread.keep": None,
    "send.due_at": None,
    "updateThread.expected": 0,
    "checkThread.expected": 0,
    "deleteThread.expected": 0,
    "interrupt.expected": 0,
    "hold.now": 0,
    "take.now": 0,
    "listThreadSummaries.after": None,
    "searchRuns.after": None,
    "searchEntries.after": None,
    "listMailboxSummaries.after": None,
    "putDocument.expected": 1,
    "putDocument.expires_in_ms": None,
    "createDocument.expires_at": None,
    "ensureDocument.expires_in_ms": None,
    "touchDocument.expires_at": None,
    "deleteDocument.expected": 1,
    "checkDocument.expected": 1,
}
"""What a command needs to take effect."""
CREATE = ("CreateThread", "EnsureThread", "Enqueue", "Send", "CreateDocument", "EnsureDocument")
"""The commands that are about something new."""


def _choose(label: str, extreme: Extreme) -> Any:
    def choose(path: str, leaf: Leaf) -> Any:
        if path in FIXED:
            return FIXED[path]
        if path == "forkThread.new":  # the other id names what is there
            return f"new {label}"
        match leaf:
            case Metadata(extra={"id": _}):
                return label
            case Metadata():
                return _key_part(extreme.text)
            case LiteralType(values=values):
                return values[0]
            case IntType(ge=least, le=most):
                low = SMALLEST_INTEGER if least is None else least
                return max(low, min(extreme.integer, LARGEST_INTEGER if most is None else most))
            case FloatType():
                return extreme.number
            case BoolType():
                return extreme.integer > 0
            case AnyType():
                return extreme.json
            case StrType(min_length=least, max_length=most):
                return extreme.text[:most].ljust(least or 0)
            case _:
                raise AssertionError(f"no value for {path}")

    return choose


def _key_part(text: str) -> str:
    """What a key may have of a text; it must not be empty."""
    return "".join(each for each in text if each >= " ")[: KEY_BYTES // 4] or " "


def _before(label: str, name: str, extreme: Extreme) -> tuple[AnyCommand, ...]:
    """What the command is about: a thread, a run, and an entry that can be settled."""
    if name in CREATE:
        return ()
    held: dict[str, Any] = {"claim_token": extreme.text, "lease_until": LARGEST_TIME}
    status: dict[str, Any] = {"status": "claimed", **held}
    if name == "Requeue":
        status = {"status": "dead_letter"}
    return (
        RestoreThread(head=ThreadHead(thread=Thread(id=label), version=0)),
        UpsertRun(run=RunRecord(run_id=label, thread_id=label, status="waiting")),
        RestoreMailbox(mailbox=MailboxState(mailbox_id=label)),
        RestoreEntry(entry=MailboxEntry(entry_id=label, mailbox_id=label, **status)),
        RestoreDocument(
            document=Document(
                collection=label,
                key=(_key_part(extreme.text),),
                version=1,
                created_at=0,
                updated_at=0,
            )
        ),
    )


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def every_field_of_every_command_keeps_both_ends_of_its_range(
    store: Store, clock: ManualClock
) -> None:
    async with Store(MemoryBackend(clock)) as model:
        for kind in concrete(Command):
            for name, extreme in EXTREMES.items():
                label = f"{kind.__name__} {name}"
                command = filled(kind, _choose(label, extreme))
                batch = (*_before(label, kind.__name__, extreme), command)
                expected = plain(await model.commit(batch))
                expect(plain(await store.commit(batch)), expected)
        expect(await read_everything(store), await read_everything(model))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def every_query_answers_at_both_ends_of_its_ranges(harness: Harness) -> None:
    backend, model = harness.backend, MemoryBackend(harness.clock)
    async with Store(model) as other:
        for store in (harness.store, other):
            await store.threads.create(Thread(id="x"))
            await store.threads.append("x", says("one", "two", run_id="x", run_meta=RunMeta()))
            await store.mailboxes.enqueue(entry("x", "x"))
            await store.documents.put("x", " ", "x")
        for kind in concrete(Query):
            for number in (SMALLEST_INTEGER, -1, 0, 1, LARGEST_TIME):
                query = filled(kind, _choose("x", Extreme("", number, 0.0, None)))
                for asked in (query, _without_filters(query)):
                    expected = await result_or_error(model.read(asked))
                    expect(await result_or_error(backend.read(asked)), expected)


def _without_filters(query: Any) -> Any:
    """The query with its numbers, but without the texts and ids that may be left out."""
    filters = {
        field.name: None
        for field in msgspec.structs.fields(query)
        if field.default is None and isinstance(getattr(query, field.name), str)
    }
    return msgspec.structs.replace(query, **filters)


# --- numbers that cannot rise ---------------------------------------------------------------------


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def a_thread_at_the_largest_version_is_read_and_not_changed(store: Store) -> None:
    head = ThreadHead(thread=Thread(id="t"), version=LARGEST_TIME)
    await store.commit((RestoreThread(head=head),))
    for write in (
        store.threads.append("t", says("x")),
        store.threads.save(Thread(id="t", state="new")),
    ):
        with refused(InvalidValue) as caught:
            await write
        assert "the version of thread 't'" in str(caught.value)
    expect(await store.threads.load("t"), head)
    expect(await store.threads.list_deltas("t", LARGEST_TIME), ())


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def a_mailbox_at_the_largest_generation_works_and_is_not_interrupted(store: Store) -> None:
    state = MailboxState(mailbox_id="box", current_generation=LARGEST_TIME)
    await store.commit((RestoreMailbox(mailbox=state),))
    sent = (await store.mailboxes.send("box", 1)).entry
    with refused(InvalidValue) as caught:
        await store.mailboxes.interrupt("box")
    assert "the generation of mailbox 'box'" in str(caught.value)
    expect(await generation(store), LARGEST_TIME)
    await store.mailboxes.ack(await claim_one(store))
    expect(sent.generation, LARGEST_TIME)


@checks.add(Guarantee.ENTRIES_MOVE_BY_RULE)
async def an_entry_with_the_largest_number_of_attempts_is_claimed_like_others(store: Store) -> None:
    worn = entry("worn", attempt_count=LARGEST_TIME)
    await store.commit((RestoreEntry(entry=worn), RestoreEntry(entry=entry("e", "other"))))
    claimed = await claim_one(store)
    expect(claimed.attempt_count, LARGEST_TIME)
    expect(await store.mailboxes.load_entry("worn"), claimed)
    expect(await claim_ids(store), ["e"])
    await store.mailboxes.nack(claimed)
    expect((await claim_one(store)).attempt_count, LARGEST_TIME)


@checks.add(Guarantee.ONE_HOLDER, each=(-(2**63), -1, 0))
async def a_claim_of_less_than_one_entry_gets_none(store: Store, limit: int) -> None:
    await store.mailboxes.enqueue(entry("e"))
    expect(await store.mailboxes.claim(limit, consumer="w"), ())
    expect(await claim_ids(store, LARGEST_TIME), ["e"])
