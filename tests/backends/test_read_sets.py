"""A command that needs a row which its `touches` left out fails; it never gets a wrong answer."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from treadle import CorruptRecord, RunMeta, Store, Thread, ThreadChangeSet
from treadle.backends.model.tables import VersionSource
from treadle.backends.sql.loaded_rows import NotLoaded
from treadle.backends.sql.working_set import WorkingSet
from treadle.core.claims import Ack, ClaimRequest, DeadLetter, ExtendLease, Hold, Nack, Release
from treadle.core.commands import AnyCommand
from treadle.core.document_expiry import DocumentName, PurgeDocuments
from treadle.core.document_keys import KeyRange
from treadle.core.documents import (
    CheckDocument,
    CreateDocument,
    DeleteDocument,
    DeleteDocuments,
    EnsureDocument,
    PutDocument,
    TouchDocument,
)
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
from treadle.core.mailboxes import SETTLED
from treadle.core.read_set import ReadSet
from treadle.core.restoring import RestoreEntry, RestoreRun
from treadle.core.run_commands import CheckRun, CountTokens, DeleteRun, EndWait, UpsertRun
from treadle.core.superseded_runs import SupersedeRuns
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
from treadle.testing import ManualClock
from treadle.testing._harness.builders import entry, run, said
from treadle.testing._harness.sample_data import fill
from treadle.testing.builtin_subjects import SQLITE

CHANGES = ThreadChangeSet(
    messages=(said("again", "m1"),), run_id="r", run_meta=RunMeta(agent_id="a")
)
COMMANDS: tuple[AnyCommand, ...] = (
    CreateThread(thread=Thread(id="new")),
    EnsureThread(thread=Thread(id="new")),
    AppendThread(thread_id="t", changes=CHANGES),
    SaveThread(thread=Thread(id="t")),
    UpdateThread(thread_id="t", metadata={"a": 1}),
    CheckThread(thread_id="t", expected=3),
    ForkThread(source="t", new="new"),
    TruncateThread(thread_id="t", keep=1),
    TruncateThread(thread_id="t", drop=1),
    DeleteThread(thread_id="t"),
    PurgeThread(thread_id="t", changed_before=LARGEST_TIME, runs=("none",)),
    UpsertRun(run=run("r")),
    CheckRun(run_id="r", thread_id="t"),
    EndWait(run_id="w"),
    EndWait(run_id="w", status="running", entry_id="held"),
    CountTokens(run_id="r", input_tokens=99, ends_run=True),
    CountTokens(run_id="new", first=run("new", "t", source_mailbox_entry_id="gone")),
    RestoreRun(run=run("r")),
    DeleteRun(run_id="r"),
    Enqueue(entry=entry("new", dedupe_key="k")),
    Send(entry_id="new", mailbox_id="box", payload=1, dedupe_key="k"),
    EnsureMailbox(mailbox_id="box"),
    Hold(entry_id="held", claim_token="token"),
    Ack(entry_id="held", claim_token="token"),
    Nack(entry_id="held", claim_token="token"),
    DeadLetter(entry_id="held", claim_token="token"),
    Release(entry_id="held", claim_token="token"),
    ExtendLease(entry_id="held", claim_token="token", extension_ms=5),
    Take(entry_id="held", claim_token="token", name="more"),
    Cancel(entry_id="queued"),
    Supersede(entry_id="queued", reason="newer"),
    SupersedeRuns(thread_id="t", start=0, reason="newer"),
    Withdraw(mailbox_id="box", dedupe_key="known"),
    CancelPending(mailbox_id="box"),
    Interrupt(mailbox_id="box"),
    Pause(mailbox_id="box"),
    Resume(mailbox_id="box"),
    Requeue(entry_id="dead"),
    Purge(ended_before=100),
    Purge(ended_before=100, mailbox_id="box"),
    DeleteMailbox(mailbox_id="box"),
    PutDocument(collection="memories", key=("ann",), value=1),
    CreateDocument(collection="new", key=("k",), value=1),
    EnsureDocument(collection="new", key=("k",), value=1),
    DeleteDocument(collection="memories", key=("ann",)),
    DeleteDocuments(collection="memories", prefix=("ann",)),
    CheckDocument(collection="memories", key=("ann",)),
    TouchDocument(collection="marks", key=("seen",)),
    PurgeDocuments(expired_before=6),
    PurgeDocuments(expired_before=6, among=(DocumentName(collection="memories", key=("ann",)),)),
)
"""One of each, on the sample data."""


def parts(command: AnyCommand) -> Iterator[tuple[str, Any]]:
    """The fields of the command's read set, with each item in them."""
    read_set = ReadSet()
    command.touches(read_set)
    for name in ReadSet.__struct_fields__:
        if name == "absent_documents":  # they are locked, and in `documents` as well
            continue
        for item in getattr(read_set, name):
            yield name, item


CASES = {
    f"{type(command).__name__} without {name}": (command, name, item)
    for command in COMMANDS
    for name, item in parts(command)
}
# The claims beside the held entry are loaded too, and it is one of them.
for command in (ExtendLease, Hold, Take):
    del CASES[f"{command.__name__} without entries"]
# Its thread is not read, only locked.
del CASES["UpsertRun without threads"]
# The mailbox of the sample's thread is empty; tests of requests look for runs of its entries.
del CASES["SupersedeRuns without runs_in"]


@pytest.mark.parametrize(("command", "name", "item"), CASES.values(), ids=CASES)
async def test_a_command_that_names_too_little_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: AnyCommand,
    name: str,
    item: Any,
) -> None:
    touches = type(command).touches

    def touches_less(self: AnyCommand, read_set: ReadSet) -> None:
        touches(self, read_set)
        part = getattr(read_set, name)
        part.pop(item) if isinstance(part, dict) else part.remove(item)

    async with Store(SQLITE.make(tmp_path, ManualClock())) as store:
        sample = await fill(store)
        if hasattr(command, "claim_token"):
            command = msgspec.structs.replace(command, claim_token=sample.held.claim_token)
        with monkeypatch.context() as patch:
            patch.setattr(type(command), "touches", touches_less)
            # an entry that is loaded without its mailbox looks like damage
            with pytest.raises((NotLoaded, CorruptRecord)):
                await store.commit((command,))
        await store.commit((command,))


FINDERS: dict[str, Callable[[WorkingSet], object]] = {
    "get a thread": lambda rows: rows.threads.get("t"),
    "get a run": lambda rows: rows.runs.get("r"),
    "get an entry": lambda rows: rows.entries.get("e"),
    "get a mailbox": lambda rows: rows.mailboxes.get("box"),
    "index": lambda rows: rows.threads["t"],
    "in": lambda rows: "e" in rows.entries,
    "values": lambda rows: list(rows.entries.values()),
    "keys": lambda rows: list(rows.mailboxes.keys()),
    "items": lambda rows: list(rows.runs.items()),
    "length": lambda rows: len(rows.runs),
    "find_known_messages": lambda rows: rows.find_known_messages("t", ["m"]),
    "find_whole": lambda rows: rows.find_whole("t"),
    "find_steps": lambda rows: rows.find_steps("t"),
    "find_messages_from": lambda rows: rows.find_messages_from("t", 0),
    "find_duplicate": lambda rows: rows.find_duplicate("box", "k"),
    "find_claimed": lambda rows: rows.find_claimed("box"),
    "find_waiting": lambda rows: rows.find_waiting("box", 1, 0),
    "find_last_message": lambda rows: rows.find_last_message("t"),
    "find_runs_in": lambda rows: rows.find_runs_in("t"),
    "find_runs_of": lambda rows: rows.find_runs_of(entry("e")),
    "find_waiting_runs": lambda rows: rows.find_waiting_runs("t"),
    "find_unfinished": lambda rows: rows.find_unfinished("box"),
    "find_entries": lambda rows: rows.find_entries("box", ("queued",)),
    "find_labels": lambda rows: rows.find_labels("t"),
    "find_summary": lambda rows: rows.find_summary("t"),
    "find_summaries": lambda rows: rows.find_summaries(None, None),
    "find_thread_ids": lambda rows: rows.find_thread_ids(None, None),
    "find_deltas": lambda rows: rows.find_deltas("t", 0, 1),
    "find_claimable": lambda rows: rows.find_claimable(ClaimRequest(consumer="w"), 0),
    "find_documents": lambda rows: rows.find_documents(KeyRange("c")),
    "find_expired": lambda rows: rows.find_expired(5, 1),
    "find_collections": lambda rows: rows.find_collections(""),
    "unreadable_documents": lambda rows: rows.unreadable_documents(KeyRange("c")),
    "get a document": lambda rows: rows.documents.get("c\x1fk"),
    "next_due": lambda rows: rows.next_due(0, None),
    "purge": lambda rows: rows.purge(100, SETTLED),
}


@pytest.mark.parametrize("find", FINDERS.values(), ids=FINDERS)
def test_a_finder_that_asks_for_more_than_was_loaded_fails(
    find: Callable[[WorkingSet], object],
) -> None:
    with pytest.raises(NotLoaded):
        find(WorkingSet(ReadSet(), VersionSource()))


def test_every_finder_is_tried() -> None:
    finders = {name for name in vars(WorkingSet) if name.startswith("find_")}
    assert finders <= FINDERS.keys()


async def test_entries_that_share_a_dedupe_key_are_all_known(tmp_path: Path) -> None:
    keyed = entry("e1", "box", dedupe_key="k")
    async with Store(SQLITE.make(tmp_path, ManualClock())) as store:
        await store.mailboxes.enqueue(keyed)
        receipt = await store.commit(
            (
                RestoreEntry(entry=entry("e2", "box", dedupe_key="k")),
                RestoreEntry(entry=entry("e2", "box")),
                Send(entry_id="e3", mailbox_id="box", payload=3, dedupe_key="k"),
            )
        )
        assert receipt.results[2].entry.entry_id == "e1"
