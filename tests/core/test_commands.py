"""Commands: every class is known everywhere it must be, described, checked and copied."""

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.core.test_ids import BAD as BAD_IDS
from treadle import (
    Committed,
    Document,
    InvalidId,
    InvalidValue,
    MailboxState,
    Message,
    RunMeta,
    RunRecord,
    Stored,
    Thread,
    ThreadChangeSet,
    ThreadHead,
    Truncated,
    commands,
    open_store,
)
from treadle.core import (
    claims,
    document_expiry,
    documents,
    mailbox_commands,
    mailbox_deletion,
    mailbox_pauses,
    restoring,
    run_commands,
    superseded_runs,
    taking,
    thread_commands,
    thread_edits,
    thread_purge,
)
from treadle.core.codec import Model
from treadle.core.commands import AnyCommand, Command, check_batch, check_command, describe
from treadle.core.mailbox_commands import Interrupted
from treadle.core.mailboxes import MailboxEntry, Sent
from treadle.store.documents import DocumentWrites
from treadle.store.mailbox_writes import MailboxWrites
from treadle.store.runs import RunWrites
from treadle.store.thread_writes import ThreadWrites
from treadle.store.writes import Write
from treadle.testing._harness.builders import entry, run, said, says, sets

CHANGES = ThreadChangeSet(
    run_id="r",
    parent_run_id="rp",
    run_meta=RunMeta(parent_thread_id="tp", source_mailbox_entry_id="es"),
    messages=(said("hi", "m"),),
    patches=(sets("a", [1]),),
)
DOCUMENT = Document(collection="c", key=("k",), value=[1], version=7, created_at=1, updated_at=2)
EXAMPLES: list[tuple[Any, str, type | tuple[type, ...]]] = [
    (commands.CreateThread(thread=Thread(id="t", parent_thread_id="tp")), "t", Committed),
    (commands.EnsureThread(thread=Thread(id="t", parent_thread_id="tp")), "t", Committed),
    (commands.AppendThread(thread_id="t", changes=CHANGES, expected=0), "t", Committed),
    (commands.SaveThread(thread=Thread(id="t", state=[1])), "t", Committed),
    (
        commands.UpdateThread(
            thread_id="t", metadata={"a": [1]}, resource_id=None, parent_thread_id="tp", expected=0
        ),
        "t",
        Committed,
    ),
    (
        commands.ForkThread(source="t", new="tp", at=0, state=[1], resource_id=None, expected=0),
        "t",
        Committed,
    ),
    (commands.TruncateThread(thread_id="t", keep=0, expected=0), "t", Truncated),
    (commands.CheckThread(thread_id="t", expected=0), "t", Committed),
    (commands.DeleteThread(thread_id="t"), "t", bool),
    (commands.PurgeThread(thread_id="t", changed_before=5), "t", (int, type(None))),
    (
        commands.UpsertRun(
            run=run("r", parent_run_id="rp", parent_thread_id="tp", source_mailbox_entry_id="es")
        ),
        "r",
        type(None),
    ),
    (commands.CheckRun(run_id="r", thread_id="t"), "r", type(None)),
    (commands.EndWait(run_id="w", termination_code="answered"), "w", RunRecord),
    (commands.CountTokens(run_id="r", input_tokens=5), "r", bool),
    (commands.DeleteRun(run_id="r"), "r", bool),
    (commands.Enqueue(entry=entry("e", "box", payload={"a": [1]})), "e", type(None)),
    (commands.Send(entry_id="s", mailbox_id="box", payload=[1]), "box", Sent),
    (commands.EnsureMailbox(mailbox_id="box"), "box", MailboxState),
    (commands.Hold(entry_id="e", claim_token="c"), "e", type(None)),
    (commands.ExtendLease(entry_id="e", claim_token="c", extension_ms=5), "e", bool),
    (commands.Take(entry_id="e", claim_token="c", name="n", limit=5), "e", tuple),
    (commands.Nack(entry_id="e", claim_token="c", retry_at=5, error="boom"), "e", type(None)),
    (commands.Release(entry_id="e", claim_token="c"), "e", type(None)),
    (commands.DeadLetter(entry_id="e", claim_token="c", error="boom"), "e", type(None)),
    (commands.Requeue(entry_id="e"), "e", MailboxEntry),
    (commands.Ack(entry_id="e", claim_token="c"), "e", type(None)),
    (commands.Cancel(entry_id="e"), "e", MailboxEntry),
    (commands.Supersede(entry_id="e", reason="newer"), "e", MailboxEntry),
    (commands.SupersedeRuns(thread_id="t", start=0, reason="newer", keeps=("r",)), "t", tuple),
    (commands.Withdraw(mailbox_id="box", dedupe_key="known"), "box", MailboxEntry),
    (commands.CancelPending(mailbox_id="box", exclude="x"), "box", tuple),
    (commands.Interrupt(mailbox_id="box"), "box", Interrupted),
    (commands.Pause(mailbox_id="box", until=5, reason="why"), "box", MailboxState),
    (commands.Resume(mailbox_id="box"), "box", MailboxState),
    (commands.Purge(ended_before=5), "", int),
    (commands.DeleteMailbox(mailbox_id="box"), "box", int),
    (commands.RestoreThread(head=ThreadHead(thread=Thread(id="t"), version=3)), "t", type(None)),
    (commands.RestoreEntry(entry=entry("e", status="cancelled")), "e", type(None)),
    (commands.RestoreMailbox(mailbox=MailboxState(mailbox_id="box")), "box", type(None)),
    (commands.RestoreRun(run=run("r")), "r", type(None)),
    (commands.PutDocument(collection="c", key=("k",), value=[1], expected=7), "c", Stored),
    (commands.CreateDocument(collection="c", key=("new",), value=[1]), "c", Stored),
    (commands.EnsureDocument(collection="c", key=("k",), value=[1]), "c", Stored),
    (commands.DeleteDocument(collection="c", key=("k",)), "c", bool),
    (commands.DeleteDocuments(collection="c", prefix=("k",)), "c", int),
    (commands.CheckDocument(collection="c", key=("k",)), "c", type(None)),
    (commands.TouchDocument(collection="c", key=("k",), expires_at=5), "c", bool),
    (commands.PurgeDocuments(expired_before=5), "", int),
    (commands.RestoreDocument(document=DOCUMENT), "c", type(None)),
]
ABSTRACT: set[type[Any]] = {commands.Command, commands.TimedCommand}
ALL_COMMANDS: set[type[Any]] = {
    value
    for name in commands.__all__
    if isinstance(value := getattr(commands, name), type) and issubclass(value, commands.Command)
} - ABSTRACT
RESTORING = {
    commands.RestoreThread,
    commands.RestoreRun,
    commands.RestoreEntry,
    commands.RestoreMailbox,
    commands.RestoreDocument,
}
"""For copies of stores only: the façade has no method for them."""
OF_SEVERAL_STEPS = {commands.PurgeThread, commands.SupersedeRuns}
"""Steps of methods of the store that commit several commands."""
BY_NAME = {type(command).__name__: command for command, _, _ in EXAMPLES}
each_example = pytest.mark.parametrize(
    ("command", "subject", "result"), EXAMPLES, ids=[type(each[0]).__name__ for each in EXAMPLES]
)


def test_every_command_has_an_example() -> None:
    assert {type(command) for command, _, _ in EXAMPLES} == ALL_COMMANDS


def test_all_commands_are_public() -> None:
    defined = {
        value
        for module in (
            superseded_runs,
            claims,
            documents,
            thread_edits,
            mailbox_commands,
            document_expiry,
            mailbox_deletion,
            thread_purge,
            mailbox_pauses,
            restoring,
            run_commands,
            taking,
            thread_commands,
        )
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Command) and not name.startswith("_")
    }
    assert defined - ABSTRACT == ALL_COMMANDS


@each_example
def test_a_command_is_described_by_its_name_and_subject(
    command: Any, subject: str, result: Any
) -> None:
    named = f" {subject!r}" if subject else ""
    assert describe(command) == f"{type(command).__name__}{named}"


@each_example
def test_a_checked_command_is_equal_and_shares_nothing(
    command: Any, subject: str, result: Any
) -> None:
    checked = check_command(command)
    assert checked == command
    assert type(checked) is type(command)
    assert _containers(checked).isdisjoint(_containers(command))


def _containers(value: Any) -> set[int]:
    if isinstance(value, Model):
        inner = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, dict):
        inner = [value, *value.values()]
    elif isinstance(value, list | tuple):
        inner = list(value)
    else:
        return set()
    own = {id(value)} if isinstance(value, dict | list) and value else set()
    return own.union(*(_containers(item) for item in inner if item is not value))


@each_example
async def test_every_command_can_be_carried_out(command: Any, subject: str, result: Any) -> None:
    async with open_store("memory:") as store:
        if not isinstance(command, commands.CreateThread):
            await store.threads.create(Thread(id="t"))
        if not isinstance(command, commands.Enqueue):
            await store.mailboxes.enqueue(entry("e", "box", dedupe_key="known"))
        await store.commit((commands.RestoreDocument(document=DOCUMENT),))
        await store.runs.upsert(run("w", status="waiting"))
        if hasattr(command, "claim_token"):
            claimed = await store.mailboxes.claim_entry("e", consumer="c")
            assert claimed is not None
            command = msgspec.structs.replace(command, claim_token=claimed.claim_token)
        receipt = await store.commit((command,))
        assert isinstance(receipt.results[0], result)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where ids are: the paths of all fields whose name says so."""
    found = []
    for name in value.__struct_fields__:
        item = getattr(value, name)
        if isinstance(item, Model):
            found += _places(item, (*path, name))
        elif name in ("agent_id", "sender_id", "id") and not isinstance(value, Thread):
            continue  # labels: they name no document
        elif (name.endswith("_id") or name in OTHER_IDS) and item is not None:
            found.append((*path, name))
    return found


def _with(value: Any, path: tuple[Any, ...], item: Any) -> Any:
    name, *rest = path
    inner = _with(getattr(value, name), tuple(rest), item) if rest else item
    return msgspec.structs.replace(value, **{name: inner})


OTHER_IDS = ("id", "exclude", "collection", "source", "new")
REQUIRED_IDS = ("id", "thread_id", "run_id", "entry_id", "collection", "source", "new")
ID_PLACES = [(command, path) for command, _, _ in EXAMPLES for path in _places(command)]


def test_the_places_of_ids_are_found() -> None:
    assert len(ID_PLACES) > 30


@pytest.mark.parametrize(
    ("command", "path"),
    ID_PLACES,
    ids=[f"{type(command).__name__}.{'.'.join(path)}" for command, path in ID_PLACES],
)
def test_an_id_is_checked_in_every_place_of_every_command(
    command: Any, path: tuple[Any, ...]
) -> None:
    accepted = []
    for name, (bad, _) in BAD_IDS.items():
        may_be_left_out = bad is None and path[-1] not in REQUIRED_IDS
        no_run = bad == "" and path == ("changes", "run_id")
        if may_be_left_out or no_run:
            continue
        try:
            check_command(_with(command, path, bad))
        except (InvalidId, InvalidValue) as error:
            assert isinstance(error, InvalidId) or bad is None
        else:
            accepted.append(name)
    assert accepted == []


def test_an_append_may_belong_to_no_run() -> None:
    command = commands.AppendThread(thread_id="t", changes=says("hi"))
    assert check_command(command) == command


STALE: dict[str, tuple[MailboxEntry, str]] = {
    "claimed": (entry("e", status="claimed"), "enqueue.entry.status"),
    "accepted": (entry("e", status="accepted"), "enqueue.entry.status"),
    "token": (entry("e", claim_token="c"), "enqueue.entry.claim_token"),
    "consumer": (entry("e", claimed_by="c"), "enqueue.entry.claimed_by"),
    "lease": (entry("e", lease_until=5), "enqueue.entry.lease_until"),
    "generation without a next": (entry("e", generation=2**63 - 1), "enqueue.entry.generation"),
    "attempts without a next": (entry("e", attempt_count=2**63 - 1), "enqueue.entry.attempt_count"),
}


@pytest.mark.parametrize(("stale", "place"), STALE.values(), ids=STALE)
def test_an_entry_comes_in_queued_and_unclaimed(stale: MailboxEntry, place: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_command(commands.Enqueue(entry=stale))
    assert caught.value.where == place


@pytest.mark.parametrize("thing", [None, 5, "ack", object(), Thread(id="t"), run("r"), {}])
def test_what_is_no_command_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidValue, match="command"):
        check_batch((thing,))


class Foreign(commands.Command[None], frozen=True, kw_only=True):
    """A command that Treadle does not know; it could harm the other batches of its group."""


@pytest.mark.parametrize("thing", [commands.TimedCommand(), commands.Command(), Foreign()])
def test_a_command_of_somebody_else_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidValue, match=f"it must hold commands, not a {type(thing).__name__}"):
        check_batch((thing,))


@pytest.mark.parametrize("thing", [None, 5, BY_NAME["Ack"]])
def test_what_is_no_batch_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidValue, match="tuple of commands"):
        check_batch(thing)


@pytest.mark.parametrize(
    "kind", [commands.CreateThread, commands.EnsureThread, commands.SaveThread]
)
def test_a_thread_does_not_bring_its_own_version(kind: Any) -> None:
    with pytest.raises(InvalidValue, match="counts versions itself") as caught:
        check_command(kind(thread=Thread(id="t", extra={"_version": 3})))
    assert caught.value.where.endswith("Thread.thread.extra._version")


def test_a_batch_is_a_tuple_or_a_list_of_commands() -> None:
    good = BY_NAME["Ack"]
    assert check_batch((good, good)) == (good, good)
    assert check_batch([good]) == (good,)  # type: ignore[arg-type]


def test_of_a_batch_the_command_that_cannot_be_stored_is_named_by_its_place() -> None:
    good, bad = BY_NAME["Ack"], commands.Ack(entry_id="a/b", claim_token="c")
    for place in (1, 2, 3):
        batch = [good, good]
        batch.insert(place - 1, bad)
        with pytest.raises(InvalidId) as caught:
            check_batch(tuple(batch))
        assert caught.value.command == f"command {place} of 3: Ack"


ARGUMENTS: dict[str, Any] = {
    "thread": Thread(id="t"),
    "thread_id": "t",
    "source": "t",
    "new": "u",
    "changes": CHANGES,
    "expected": 0,
    "run": run("r"),
    "run_id": "r",
    "entry": "e",
    "entry_id": "e",
    "claim_token": "c",
    "mailbox_id": "box",
    "payload": 1,
    "dedupe_key": "known",
    "reason": "newer",
    "ended_before": 5,
    "collection": "c",
    "key": "k",
    "value": 1,
    "expires_at": None,
    "expires_in_ms": 5,
    "expired_before": 5,
}


NEEDED: dict[str, dict[str, Any]] = {"enqueue": {"entry": entry("e")}, "touch": {"expires_at": 5}}
"""What methods need that their signatures do not say."""


def call(method: Callable[..., Any], **more: Any) -> Any:
    """Call a writing method with the arguments that it must have."""
    parameters = inspect.signature(method).parameters.items()
    named = {
        name: ARGUMENTS[name]
        for name, parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and (parameter.default is parameter.empty or name == "claim_token")
    }
    positional = [
        ARGUMENTS[name]
        for name, parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL)
    ]
    return method(*positional, **named | more)


def test_a_writing_method_exists_for_every_command() -> None:
    collected: list[AnyCommand] = []

    def collect(command: Any) -> Write[Any]:
        collected.append(command)
        return Write(command)

    for writes in (ThreadWrites, RunWrites, MailboxWrites, DocumentWrites):
        part = writes(collect)
        for name, method in vars(type(part)).items():
            if not name.startswith("_") and callable(method):
                call(getattr(part, name), **NEEDED.get(name, {}))
    without_method = RESTORING | OF_SEVERAL_STEPS
    assert {type(command) for command in collected} == ALL_COMMANDS - without_method
    assert len(collected) == len(ALL_COMMANDS) - len(without_method)


def test_a_run_record_may_be_of_no_parent() -> None:
    record = RunRecord(run_id="r", thread_id="t")
    assert check_command(commands.UpsertRun(run=record)) == commands.UpsertRun(run=record)


CHOICES: dict[str, tuple[Any, str]] = {
    "status": (
        ThreadChangeSet(run_id="r", run_meta=RunMeta(status="failed")),  # type: ignore[arg-type]
        "changes.run_meta.status: .*; it must be one of 'done', 'running', 'waiting'",
    ),
    "role": (
        ThreadChangeSet(messages=(Message(role="human", content="x"),)),  # type: ignore[arg-type]
        r"changes.messages\[0\].role: .*; it must be one of 'assistant', 'system', 'tool', 'user'",
    ),
    "reason": (
        ThreadChangeSet(reason="none"),  # type: ignore[arg-type]
        "changes.reason: .*; it must be one of 'AssistantTurnCommitted', ",
    ),
}


@pytest.mark.parametrize(("changes", "message"), CHOICES.values(), ids=CHOICES)
def test_an_unknown_word_is_refused_with_the_known_ones(
    changes: ThreadChangeSet, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        check_command(commands.AppendThread(thread_id="t", changes=changes))
