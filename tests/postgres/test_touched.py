"""What a call touches: two that may not overlap meet, whatever else they do."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import Message, Thread, ThreadChangeSet
from treadle.backends.model.apply import read_set_of
from treadle.backends.postgres._touched import touched_by
from treadle.commands import (
    Ack,
    AppendThread,
    Cancel,
    CreateThread,
    DeleteDocuments,
    ForkThread,
    Interrupt,
    Purge,
    PurgeDocuments,
    PutDocument,
    Send,
    UpsertRun,
)
from treadle.core.commands import AnyCommand
from treadle.testing._harness.builders import run
from treadle.testing._harness.strategies import commands
from treadle.testing._harness.strategies.world import World
from treadle.testing.clock import START

WORLD = World(START, ["e0"], [("e0", "token")], {"m0": 0}, {"t0": 0})


def append(thread_id: str, run_id: str = "") -> AppendThread:
    return AppendThread(
        thread_id=thread_id,
        changes=ThreadChangeSet(run_id=run_id, messages=(Message.user("hi", id="m"),)),
    )


def send(mailbox_id: str, entry_id: str) -> Send:
    return Send(mailbox_id=mailbox_id, entry_id=entry_id, payload=None)


def put(collection: str, key: str) -> PutDocument:
    return PutDocument(collection=collection, key=(key,), value=1)


APART: dict[str, list[AnyCommand]] = {
    "threads": [append("a"), append("b"), CreateThread(thread=Thread(id="c"))],
    "runs": [append("a", "r"), append("b", "q"), UpsertRun(run=run("p", thread_id="c"))],
    "documents": [put("c", "1"), put("c", "2"), put("d", "1")],
    "kinds": [append("x"), put("x", "x"), send("x", "x")],
    "ranges": [DeleteDocuments(collection="c"), DeleteDocuments(collection="d"), put("e", "1")],
}
TOGETHER: dict[str, list[AnyCommand]] = {
    "one thread": [append("a"), append("a")],
    "a fork": [append("a"), ForkThread(source="a", new="b")],
    "the fork itself": [append("b"), ForkThread(source="a", new="b")],
    "one run": [append("a", "r"), append("b", "r")],
    "a document": [put("c", "1"), put("c", "1")],
    "a range": [put("c", "1"), DeleteDocuments(collection="c")],
    "expired documents": [put("c", "1"), PurgeDocuments(expired_before=1)],
    "expired documents and a range": [
        DeleteDocuments(collection="c"),
        PurgeDocuments(expired_before=1),
    ],
    "a mailbox and an entry, which may be in it": [
        send("m", "e"),
        Cancel(entry_id="other"),
    ],
    "an entry and a run, which may be of it": [
        append("a", "r"),
        Ack(entry_id="e", claim_token="x"),
    ],
    "a mailbox and a run": [append("a", "r"), Interrupt(mailbox_id="m")],
    "all mailboxes": [send("m", "e"), Purge(ended_before=1)],
}


@pytest.mark.parametrize("kinds", APART)
def test_calls_with_nothing_in_common_do_not_meet(kinds: str) -> None:
    for one, other in product(APART[kinds], repeat=2):
        assert touched_by((one,)).meets(touched_by((other,))) == (one is other)


@pytest.mark.parametrize("kinds", TOGETHER)
def test_calls_about_the_same_meet(kinds: str) -> None:
    one, other = TOGETHER[kinds]
    assert touched_by((one,)).meets(touched_by((other,)))
    assert touched_by((other,)).meets(touched_by((one,)))
    both = touched_by((append("z"), one))
    assert both.meets(touched_by((other,)))
    assert both.meets(touched_by((append("z"),)))


@given(st.lists(commands.commands(WORLD), min_size=1, max_size=3))
def test_whatever_a_batch_loads_is_touched(batch: list[AnyCommand]) -> None:
    read_set = read_set_of((tuple(batch),))
    touched = touched_by(tuple(batch))
    left = set(read_set.__struct_fields__)
    for name, prefix in (("threads", "t"), ("runs", "r"), ("documents", "d")):
        assert {prefix + each for each in getattr(read_set, name)} <= touched.alone
    of_threads = {"threads", "labels", "wholes", "steps"}
    assert {t for n in of_threads for t in getattr(read_set, n)} == read_set.threads
    assert {thread_id for thread_id, _ in read_set.messages} <= read_set.threads
    assert read_set.messages_from.keys() | read_set.last_messages.keys() <= read_set.threads
    assert read_set.absent_documents <= read_set.documents
    of_threads |= {"messages", "messages_from", "last_messages"}
    of_documents = {"documents", "absent_documents", "document_ranges", "expired_before"}
    if any(getattr(read_set, name) for name in left - of_threads - of_documents - {"runs"}):
        assert {"mailboxes", "runs"} <= touched.alone
    for collection, *_ in read_set.document_ranges:
        assert "c" + collection in touched.alone
    if read_set.expired_before:
        assert "documents" in touched.alone
    if read_set.runs:
        assert "runs" in touched.shared
    if read_set.documents or read_set.document_ranges:
        assert "documents" in touched.shared
