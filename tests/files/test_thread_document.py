"""A document that grew by appends has the same bytes as one that is encoded as a whole."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.backends.files._thread_document import ThreadDocument, advance
from treadle.core.codec import encode
from treadle.core.messages import Message
from treadle.core.threads import Thread, ThreadChangeSet, ThreadDelta, ThreadHead, appended
from treadle.testing._harness.strategies.models import models


def with_ids(new: list[Message], ids: list[str | None]) -> tuple[Message, ...]:
    return tuple(msgspec.structs.replace(one, id=id) for one, id in zip(new, ids, strict=False))


def with_messages(change: ThreadChangeSet, new: tuple[Message, ...]) -> ThreadChangeSet:
    return msgspec.structs.replace(change, messages=new)


# Few ids, so that messages are often skipped because the thread has them already.
few_ids = st.lists(st.sampled_from([None, "a", "b"]), min_size=3, max_size=3)
messages = st.builds(with_ids, st.lists(models(Message), max_size=3), few_ids)
changes = st.builds(with_messages, models(ThreadChangeSet), messages)


def whole(document: ThreadDocument) -> bytes:
    return b"".join(document.parts())


@settings(max_examples=20)  # strategies of models are slow
@given(models(Thread), st.lists(st.lists(changes, max_size=3), max_size=3))
def test_a_grown_document_is_the_document_of_the_whole_thread(
    thread: Thread, groups: list[list[ThreadChangeSet]]
) -> None:
    start = head = ThreadHead(thread=thread, version=3)
    document = ThreadDocument(head)
    all_deltas: list[msgspec.Raw] = []
    for group in groups:
        deltas: list[msgspec.Raw] = []
        for change in group:
            now = 1_000 + head.version
            head = appended(head, change, now)
            delta = ThreadDelta(version=head.version, committed_at=now, changes=change)
            deltas.append(msgspec.Raw(encode(delta)))
        document.append(deltas, head)
        all_deltas += deltas
    assert whole(document) == whole(ThreadDocument(head))
    assert advance(start, all_deltas) == head
    assert advance(head, all_deltas) is head
