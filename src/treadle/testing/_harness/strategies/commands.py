"""Commands, from few ids, so that they meet each other."""

from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from treadle import (
    MailboxEntry,
    MailboxState,
    Message,
    MessageMetadata,
    RunMeta,
    RunRecord,
    Thread,
    ThreadChangeSet,
    ThreadHead,
    ThreadMetadata,
)
from treadle.core.claims import Ack, DeadLetter, ExtendLease, Hold, Nack, Release
from treadle.core.commands import AnyCommand
from treadle.core.documents import CheckDocument, DeleteDocument, PutDocument
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_commands import (
    Cancel,
    CancelPending,
    Enqueue,
    EnsureMailbox,
    Interrupt,
    Requeue,
    Send,
    Supersede,
    Withdraw,
)
from treadle.core.mailbox_deletion import DeleteMailbox, Purge
from treadle.core.mailbox_pauses import Pause, Resume
from treadle.core.mailboxes import SETTLED, TERMINAL
from treadle.core.patches import Append, Increment
from treadle.core.restoring import RestoreEntry, RestoreMailbox, RestoreRun, RestoreThread
from treadle.core.run_commands import DeleteRun, EndWait, UpsertRun
from treadle.core.taking import Take
from treadle.core.thread_commands import (
    AppendThread,
    CheckThread,
    CreateThread,
    DeleteThread,
    EnsureThread,
    SaveThread,
    UpdateThread,
)
from treadle.core.thread_edits import ForkThread, TruncateThread
from treadle.core.thread_purge import PurgeThread
from treadle.testing._harness.builders import sets, tracked
from treadle.testing._harness.strategies import documents
from treadle.testing._harness.strategies import runs as of_runs
from treadle.testing._harness.strategies.models import json_values
from treadle.testing._harness.strategies.runs import run_ids, texts, thread_ids
from treadle.testing._harness.strategies.times import KEPT, nows, times
from treadle.testing._harness.strategies.world import World

WITH_TOKEN = (Hold, Ack, Nack, DeadLetter, Release, ExtendLease, Take)
GUARDED = (PutDocument, DeleteDocument, CheckDocument)
EXPECTING = (SaveThread, DeleteThread, UpdateThread, TruncateThread, ForkThread, CheckThread)
SETTLEMENTS = (Ack, Nack, DeadLetter, Release)
MAILBOXES = ("m0", "m1", "é m")

mailbox_ids = st.sampled_from(MAILBOXES)
new_entry_ids = st.integers(0, 300).map(lambda number: f"e{number}")
common_entry_ids = st.sampled_from([f"b{number}" for number in range(len(MAILBOXES) * 2)])
"""The entries of `beginnings`."""
sources = st.none() | new_entry_ids | common_entry_ids
"""The entries that runs work on."""
payloads = st.sampled_from([None, {}, [1, 1.0, True], {"a": {"b": "<extra>"}}]) | json_values
take_names = st.integers(0, 10**9).map(str)
take_limits = st.sampled_from([1, 2, 5, 0, -1, LARGEST_TIME])
headers = st.sampled_from([{}, {}, {"traceparent": "00-1"}, {"é\x00": "", "<extra>": "🧵"}])
durations = st.sampled_from([30_000, 1_000, 100, 1, 0])
unknown: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {"later": 1.0}, {"a": {"id": None}}]
)


messages = st.builds(
    Message,
    id=st.none() | st.sampled_from(["a", "b", "c"]),
    role=st.sampled_from(["user", "assistant"]),
    content=texts | st.just([{"type": "text", "text": "hi"}]),
    visibility=st.sampled_from(["all", "internal"]),
    metadata=st.none() | st.builds(MessageMetadata, run_id=st.none() | run_ids),
    extra=unknown,
)
patches = st.sampled_from(
    [
        sets("a", 1),
        sets("n", 1.0),
        tracked(Append(path=("list",), value={"b": 1, "a": 2})),
        tracked(Increment(path=("n",), amount=1), Increment(path=("a", "b"), amount=2)),
    ]
)
owners = st.none() | st.sampled_from(["x", "y"])
merge_patches: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"title": "é"}, {"title": None}, {"a": {"b": 1}}, {"a": {"b": None, "<extra>": [1.0]}}]
)
threads = st.builds(
    Thread,
    id=thread_ids,
    resource_id=owners,
    parent_thread_id=st.none() | thread_ids,
    messages=st.lists(messages, max_size=3).map(tuple),
    state=payloads,
    patches=st.lists(patches, max_size=2).map(tuple),
    metadata=st.builds(
        ThreadMetadata, created_at=st.none() | st.just(5), version=st.none() | st.just(7)
    ),
    extra=unknown,
)
heads = st.builds(ThreadHead, thread=threads, version=st.sampled_from([0, 1, 7]))
run_metas = st.builds(
    RunMeta,
    agent_id=texts,
    status=st.sampled_from(["running", "waiting", "done"]),
    origin=st.sampled_from(["user", "subagent"]),
    parent_thread_id=st.none() | thread_ids,
    source_mailbox_entry_id=sources,
    termination_code=st.none() | st.just("error"),
    input_tokens=st.sampled_from([0, 7]),
)
changes = st.builds(
    ThreadChangeSet,
    run_id=st.just("") | run_ids,
    parent_run_id=st.none() | run_ids,
    run_meta=st.none() | run_metas,
    messages=st.lists(messages, max_size=3).map(tuple),
    patches=st.lists(patches, max_size=2).map(tuple),
    actions=st.sampled_from([(), ({"b": 1, "a": 2},)]),
    snapshot=st.none() | st.none() | payloads,
)


@lru_cache(KEPT)
def runs(now: int) -> st.SearchStrategy[RunRecord]:
    """Records of runs."""
    return st.builds(
        RunRecord,
        run_id=run_ids,
        thread_id=thread_ids,
        status=st.sampled_from(["running", "waiting", "done"]),
        origin=st.sampled_from(["user", "subagent"]),
        parent_run_id=st.none() | run_ids,
        source_mailbox_entry_id=sources,
        termination_code=st.none() | st.just("error"),
        metadata=st.none() | payloads,
        created_at=times(now),
        updated_at=times(now),
        extra=unknown,
    )


KEYS = ("k0", "k1")
dedupe_keys = st.sampled_from([None, None, *KEYS])


@st.composite
def entries(draw: st.DrawFn, world: World) -> MailboxEntry:
    """New entries, mostly of the current generation."""
    mailbox_id = draw(mailbox_ids)
    current = world.generations.get(mailbox_id, 0)
    return MailboxEntry(
        entry_id=draw(new_entry_ids),
        mailbox_id=mailbox_id,
        payload=draw(payloads),
        headers=draw(headers),
        priority=draw(st.sampled_from([0, 0, 1, 255])),
        dedupe_key=draw(dedupe_keys),
        generation=draw(st.sampled_from([current, current, current, 0, current + 1])),
        available_at=draw(times(world.now)),
        turn=draw(st.none() | st.just(0) | times(world.now)),
        closes_runs=draw(st.booleans()),
        created_at=draw(times(world.now)),
        updated_at=draw(times(world.now)),
        extra=draw(unknown),
    )


@st.composite
def appends(draw: st.DrawFn, world: World) -> AppendThread:
    """Appends, mostly at the right version."""
    thread_id = draw(thread_ids)
    version = world.versions.get(thread_id, 0)
    return AppendThread(
        thread_id=thread_id,
        changes=draw(changes),
        expected=draw(st.sampled_from([None, None, version, version, version + 1])),
        now=draw(nows(world.now)),
    )


@st.composite
def guarded(draw: st.DrawFn, world: World, kind: type[AnyCommand]) -> AnyCommand:
    """A write that may expect a version, mostly the right one."""
    thread = draw(threads)
    version = world.versions.get(thread.id, 0)
    expected = draw(st.sampled_from([None, version, version, version + 1]))
    if kind is SaveThread:
        return SaveThread(thread=thread, expected=expected, now=draw(nows(world.now)))
    if kind is DeleteThread:
        return DeleteThread(thread_id=thread.id, expected=expected)
    if kind is TruncateThread:
        return draw(truncations(thread.id, expected, world.now))
    if kind is UpdateThread:
        return UpdateThread(
            thread_id=thread.id,
            metadata=draw(st.just(UNSET) | merge_patches),
            resource_id=draw(st.just(UNSET) | owners),
            parent_thread_id=draw(st.just(UNSET) | st.none() | thread_ids),
            expected=expected,
            now=draw(nows(world.now)),
        )
    if kind is ForkThread:
        return ForkThread(
            source=thread.id,
            new=draw(thread_ids.filter(lambda other: other != thread.id)),
            at=draw(st.sampled_from([None, 0, 1, 2, LARGEST_TIME])),
            state=draw(st.just(UNSET) | st.just(UNSET) | payloads),
            resource_id=draw(st.just(UNSET) | owners),
            expected=expected,
            now=draw(nows(world.now)),
        )
    return CheckThread(thread_id=thread.id, expected=version if expected is None else expected)


@st.composite
def truncations(draw: st.DrawFn, thread_id: str, expected: int | None, now: int) -> TruncateThread:
    """Truncations of threads, few of which have more than five messages."""
    number = draw(st.sampled_from([1, 1, 2, 3, 0, 5, LARGEST_TIME]))
    end: dict[str, Any] = {draw(st.sampled_from(["keep", "drop"])): number}
    return TruncateThread(thread_id=thread_id, **end, expected=expected, now=draw(nows(now)))


@st.composite
def rewrites(draw: st.DrawFn, world: World) -> tuple[AnyCommand, ...]:
    """The end of a thread is replaced, perhaps several times, at once."""
    thread_id = draw(thread_ids)
    batch: list[AnyCommand] = []
    for _ in range(draw(st.integers(1, 3))):
        batch.append(draw(truncations(thread_id, None, world.now)))
        batch.append(AppendThread(thread_id=thread_id, changes=draw(changes)))
    return tuple(batch[draw(st.integers(0, 1)) :])


@st.composite
def settlements(draw: st.DrawFn, world: World) -> AnyCommand:
    """What wants a claim token, mostly with one that fits."""
    entry_id, token = draw(world.known_claims())
    claim: dict[str, Any] = {
        "entry_id": entry_id,
        "claim_token": token,
        "now": draw(nows(world.now)),
    }
    retry_at, error = draw(st.none() | times(world.now)), draw(texts)
    trace = draw(st.none() | texts)
    choices: list[AnyCommand] = [
        Hold(**claim),
        Ack(**claim),
        Nack(
            **claim,
            retry_at=retry_at,
            error=error,
            traceback=trace,
            keep_order=draw(st.booleans()),
        ),
        DeadLetter(**claim, error=error, traceback=trace),
        Release(**claim),
        ExtendLease(**claim, extension_ms=draw(durations)),
        Take(**claim, name=draw(take_names), limit=draw(take_limits)),
    ]
    return draw(st.sampled_from(choices))


@st.composite
def takes(draw: st.DrawFn, world: World) -> tuple[AnyCommand, ...]:
    """Work is sent, and the holder of a claim takes some of it, perhaps twice."""
    batch: list[AnyCommand] = draw(st.lists(sends(world.now), max_size=3))
    entry_id, token = draw(world.known_claims())
    for name in draw(st.lists(take_names, min_size=1, max_size=2, unique=True)):
        limit = draw(take_limits)
        batch.append(Take(entry_id=entry_id, claim_token=token, name=name, limit=limit))
    return tuple(draw(st.permutations(batch)))


@lru_cache(KEPT)
def sends(now: int) -> st.SearchStrategy[Send]:
    """New work, due at once or later."""
    return st.builds(
        Send,
        now=nows(now),
        entry_id=new_entry_ids,
        mailbox_id=mailbox_ids,
        payload=payloads,
        dedupe_key=dedupe_keys,
        priority=st.sampled_from([0, 0, 3]),
        delay_ms=st.sampled_from([0, 0, 0, 1, 1_000]),
        headers=headers,
        sender_id=st.none() | mailbox_ids,
        origin=st.sampled_from(["external", "internal"]),
        follows=sources,
    )


def beginnings() -> st.SearchStrategy[tuple[AnyCommand, ...]]:
    """Threads, and work that is due in each mailbox."""
    created = [CreateThread(thread=Thread(id=thread_id)) for thread_id in ("t0", "t1")]
    sent = [
        Send(
            entry_id=f"b{number}",
            mailbox_id=mailbox_id,
            payload=number,
            dedupe_key=f"k{number % 4}",
        )
        for number, mailbox_id in enumerate(MAILBOXES * 2)
    ]
    return st.sampled_from([(*created, *sent), tuple(sent), ()])


@st.composite
def renewals(draw: st.DrawFn, world: World) -> tuple[AnyCommand, ...]:
    """A thread or run deleted and made again at once, perhaps at the version it had."""
    if draw(st.integers(0, 3)) == 0:
        run = draw(runs(world.now))
        return (DeleteRun(run_id=run.run_id), UpsertRun(run=run))
    thread = draw(threads)
    append = AppendThread(thread_id=thread.id, changes=draw(changes))
    return (
        DeleteThread(thread_id=thread.id),
        CreateThread(thread=thread, now=draw(nows(world.now))),
        *[append] * draw(st.sampled_from([0, 1, 2])),
    )


@st.composite
def restarts(draw: st.DrawFn, world: World) -> tuple[AnyCommand, ...]:
    """Work is put into a mailbox, all that waits there is ended, and perhaps deleted, at once."""
    sent = draw(st.lists(sends(world.now), min_size=1, max_size=2))
    mailbox_id = draw(st.sampled_from([command.mailbox_id for command in sent]))
    endings: list[AnyCommand] = [
        Interrupt(mailbox_id=mailbox_id),
        CancelPending(mailbox_id=mailbox_id),
    ]
    deletions: list[tuple[AnyCommand, ...]] = [
        (Purge(ended_before=world.now + 1),),
        (Purge(ended_before=world.now + 1, mailbox_id=mailbox_id),),
        (DeleteMailbox(mailbox_id=mailbox_id),),
    ]
    return (
        *sent,
        draw(st.sampled_from(endings)),
        *draw(st.sampled_from([(), (), *deletions])),
        *draw(st.lists(sends(world.now), max_size=1)),
    )


def failing(batches: st.SearchStrategy[tuple[AnyCommand, ...]]) -> st.SearchStrategy[Any]:
    """Batches whose last command fails."""
    failure = AppendThread(thread_id="nowhere", changes=ThreadChangeSet())
    return batches.map(lambda batch: (*batch, failure))


def commands(world: World) -> st.SearchStrategy[AnyCommand]:
    """Any command; what is usual comes more often."""
    usual: list[st.SearchStrategy[AnyCommand]] = [
        sends(world.now),
        appends(world),
        settlements(world),
        entries(world).map(_enqueued),
        documents.writes(world.now, world.documents),
    ]
    seldom: list[st.SearchStrategy[AnyCommand]] = [
        *(guarded(world, kind) for kind in EXPECTING),
        *_endings_of_entries(world),
        st.builds(RestoreEntry, entry=entries(world).map(_free) | entries(world).map(_held)),
        *_seldom(world.now),
    ]
    kinds = st.sampled_from([*usual * 4, *seldom])
    return kinds.flatmap(lambda kind: kind)  # `|` would make all of them alike


def _endings_of_entries(world: World) -> list[st.SearchStrategy[AnyCommand]]:
    """What ends known entries, and gives them back."""
    at: dict[str, Any] = {"now": nows(world.now)}
    known = world.known_entry_ids()
    return [
        st.builds(Cancel, **at, entry_id=known),
        st.builds(Supersede, **at, entry_id=known, reason=texts),
        st.builds(CancelPending, **at, mailbox_id=mailbox_ids, exclude=st.none() | known),
        st.builds(Requeue, **at, entry_id=known),
        st.builds(EndWait, **at, run_id=run_ids, status=st.just("running"), entry_id=known),
    ]


@lru_cache(KEPT)
def _seldom(now: int) -> tuple[st.SearchStrategy[AnyCommand], ...]:
    """What is not usual, and refers to nothing that has to be there."""
    at: dict[str, Any] = {"now": nows(now)}
    return (
        st.builds(CreateThread, **at, thread=threads),
        st.builds(EnsureThread, **at, thread=threads),
        st.builds(DeleteThread, thread_id=thread_ids),
        st.builds(RestoreThread, head=heads),
        st.builds(UpsertRun, **at, run=runs(now)),
        st.builds(EnsureMailbox, **at, mailbox_id=mailbox_ids),
        st.builds(Withdraw, **at, mailbox_id=mailbox_ids, dedupe_key=st.sampled_from(KEYS)),
        st.builds(Interrupt, **at, mailbox_id=mailbox_ids, expected=st.none() | st.integers(0, 2)),
        st.builds(
            Pause,
            **at,
            mailbox_id=mailbox_ids,
            until=st.none() | times(now),
            reason=st.none() | texts,
            unless_answered=sources,
            since=st.just(0) | times(now),
        ),
        st.builds(Resume, **at, mailbox_id=mailbox_ids),
        st.builds(Resume, **at, mailbox_id=mailbox_ids),
        st.builds(
            Purge,
            ended_before=times(now),
            mailbox_id=st.none() | mailbox_ids,
            statuses=st.sampled_from([SETTLED, tuple(TERMINAL), ("cancelled",), ()]),
        ),
        st.builds(DeleteMailbox, mailbox_id=mailbox_ids),
        st.builds(
            PurgeThread,
            thread_id=thread_ids | mailbox_ids,
            changed_before=times(now),
            ignoring=st.just(()) | st.tuples(thread_ids),
            runs=st.just(()) | st.tuples(run_ids),
        ),
        st.builds(RestoreMailbox, mailbox=states(now)),
        st.builds(RestoreRun, run=runs(now)),
        *of_runs.seldom(now),
        *documents.seldom(now),
    )


@lru_cache(KEPT)
def states(now: int) -> st.SearchStrategy[MailboxState]:
    """States of mailboxes."""
    return st.builds(
        MailboxState,
        mailbox_id=mailbox_ids,
        current_generation=st.sampled_from([0, 1, 2]),
        updated_at=times(now),
        last_turn=st.just(0) | times(now),
        paused_at=st.none() | times(now),
        paused_until=st.none() | times(now),
        pause_reason=st.none() | texts,
        extra=unknown,
    )


def _free(entry: MailboxEntry) -> MailboxEntry:
    """The entry without a key: which of two is found by one key, no rule says."""
    return replace(entry, dedupe_key=None)


def _held(entry: MailboxEntry) -> MailboxEntry:
    """The entry as somebody holds it since long ago."""
    return replace(
        entry,
        dedupe_key=None,
        status="claimed",
        claim_token=f"token of {entry.entry_id}",
        claimed_by="elsewhere",
        lease_until=entry.available_at + 30_000,
    )


def _enqueued(entry: MailboxEntry) -> Enqueue:
    return Enqueue(entry=entry)
