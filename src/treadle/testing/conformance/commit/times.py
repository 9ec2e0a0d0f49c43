"""Times: a command with its own `now` does the same as one at which the clock shows it."""

from typing import Any

from msgspec.structs import replace

from treadle import RunMeta, RunRecord, Store, Thread
from treadle.backends.base import Guarantee
from treadle.core.claims import Ack, DeadLetter, ExtendLease, Nack, Release
from treadle.core.commands import TimedCommand
from treadle.core.documents import CreateDocument, EnsureDocument, PutDocument
from treadle.core.mailbox_commands import (
    Cancel,
    CancelPending,
    EnsureMailbox,
    Interrupt,
    Requeue,
    Send,
    Supersede,
    Withdraw,
)
from treadle.core.mailbox_pauses import Pause
from treadle.core.run_commands import CountTokens, EndWait, UpsertRun
from treadle.core.taking import Take
from treadle.core.thread_commands import (
    AppendThread,
    CreateThread,
    EnsureThread,
    SaveThread,
    UpdateThread,
)
from treadle.core.thread_edits import ForkThread, TruncateThread
from treadle.testing._harness.builders import head_of, says
from treadle.testing._harness.call_results import plain
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything, without_uuids
from treadle.testing._harness.expect import expect
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.sample_data import MAILBOXES, Sample, fill
from treadle.testing.clock import ManualClock, TickingClock

checks = Checks(__name__)

HELD: dict[str, Any] = {"entry_id": "held", "claim_token": "the token of the entry"}
TIMED: tuple[TimedCommand[Any], ...] = (
    CreateThread(thread=Thread(id="new")),
    EnsureThread(thread=Thread(id="new")),
    AppendThread(thread_id="t", changes=says("x", run_id="new", run_meta=RunMeta())),
    SaveThread(thread=Thread(id="t")),
    UpdateThread(thread_id="t", metadata={"title": "new"}),
    TruncateThread(thread_id="t", keep=1),
    ForkThread(source="t", new="new"),
    Send(entry_id="new", mailbox_id="new box", payload=1, delay_ms=5),
    EnsureMailbox(mailbox_id="box"),
    Ack(**HELD),
    Nack(**HELD),
    DeadLetter(**HELD),
    Release(**HELD),
    ExtendLease(**HELD, extension_ms=5),
    Take(**HELD, name="more"),
    Cancel(entry_id="queued"),
    Supersede(entry_id="queued", reason="newer"),
    Withdraw(mailbox_id="box", dedupe_key="known"),
    CancelPending(mailbox_id="box"),
    Interrupt(mailbox_id="box"),
    Pause(mailbox_id="box"),
    Requeue(entry_id="dead"),
    UpsertRun(run=RunRecord(run_id="new", thread_id="t")),
    EndWait(run_id="w", status="running"),
    CountTokens(run_id="w", output_tokens=99),
    PutDocument(collection="memories", key=("ann",), value=1),
    CreateDocument(collection="new", key=("k",), value=1),
    EnsureDocument(collection="new", key=("k",), value=1),
)
"""One of each command that happens at a time and leaves a trace of it."""
WITH_TOKEN = (Ack, Nack, DeadLetter, Release, ExtendLease, Take)
LATER = 20_000
"""Milliseconds after the clock's time at which a command is said to happen."""


@checks.add(Guarantee.TIME_IS_GIVEN, each={type(each).__name__: each for each in TIMED})
async def a_command_happens_at_its_own_time_or_else_at_the_clock_s(
    harness: Harness, command: TimedCommand[Any]
) -> None:
    now = harness.clock.now + LATER
    clock = ManualClock(harness.clock.now)
    given, shown = harness.store, await harness.open_other(clock)
    sample, other_sample = await fill(given), await fill(shown)
    clock.now = now
    found = await given.commit((_on(sample, replace(command, now=now)),))
    due = await shown.commit((_on(other_sample, command),))
    expect(without_uuids(plain(found)), without_uuids(plain(due)))
    contents, expected = [await read_everything(store, MAILBOXES) for store in (given, shown)]
    expect(without_uuids(contents), without_uuids(expected))
    assert str(now) in repr(contents), "the time is nowhere"


def _on(sample: Sample, command: TimedCommand[Any]) -> Any:
    """The command, with the token of the entry that is held."""
    if isinstance(command, WITH_TOKEN):
        return replace(command, claim_token=sample.held.claim_token)
    return command


@checks.add(Guarantee.TIME_IS_GIVEN)
async def a_claim_happens_at_its_own_time(store: Store, clock: ManualClock) -> None:
    await store.mailboxes.send("box", None, delay_ms=100)
    at = clock.now + 100
    expect(await store.mailboxes.claim(consumer="w", now=at - 1), ())
    (claimed,) = await store.mailboxes.claim(consumer="w", lease_ms=5, now=at)
    expect((claimed.updated_at, claimed.lease_until), (at, at + 5))
    expect(await store.mailboxes.claim_entry(claimed.entry_id, consumer="w", now=at + 4), None)
    again = await store.mailboxes.claim_entry(
        claimed.entry_id, consumer="w", lease_ms=7, now=at + 5
    )
    assert again is not None
    expect((again.updated_at, again.lease_until), (at + 5, at + 12))


@checks.add(Guarantee.TIME_IS_GIVEN)
async def all_commands_of_a_batch_happen_at_one_time(harness: Harness) -> None:
    store = await harness.open_other(TickingClock())
    async with store.batch() as step:
        for key in ("a", "b"):
            step.threads.create(Thread(id=key))
            step.mailboxes.send(key, None)
    heads = [await head_of(store, key) for key in ("a", "b")]
    times = {head.thread.metadata.created_at for head in heads}
    times |= {each.created_at for each in (await store.mailboxes.list_entries()).items}
    expect(len(times), 1)


@checks.add(Guarantee.TIME_IS_GIVEN)
async def each_command_of_a_batch_has_its_own_time(store: Store, clock: ManualClock) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="a"), now=7)
        step.threads.create(Thread(id="b"))
        step.mailboxes.send("box", None, delay_ms=3, now=9)
    updated = [(await head_of(store, key)).thread.metadata.updated_at for key in ("a", "b")]
    expect(updated, [7, clock.now])
    (sent,) = (await store.mailboxes.list_entries()).items
    expect((sent.created_at, sent.available_at), (9, 12))
