"""A encoded that grew by appends has the same bytes as one that is encoded as a whole."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.backends.files._encoded_thread import EncodedThread, advance
from treadle.core.codec import encode
from treadle.core.messages import Message, new_messages
from treadle.core.threads import (
    StoredThread,
    Thread,
    ThreadChangeSet,
    ThreadHead,
    extended,
    history_since,
)
from treadle.testing._harness.strategies.models import models


def with_ids(new: list[Message], ids: list[str | None]) -> tuple[Message, ...]:
    return tuple(msgspec.structs.replace(one, id=id) for one, id in zip(new, ids, strict=False))


def with_messages(change: ThreadChangeSet, new: tuple[Message, ...]) -> ThreadChangeSet:
    return msgspec.structs.replace(change, messages=new)


# Few ids, so that messages are often skipped because the thread has them already.
few_ids = st.lists(st.sampled_from([None, "a", "b"]), min_size=3, max_size=3)
messages = st.builds(with_ids, st.lists(models(Message), max_size=3), few_ids)
changes = st.builds(with_messages, models(ThreadChangeSet), messages)


def after(stored: StoredThread, change: ThreadChangeSet, now: int) -> StoredThread:
    kept = stored.head.thread.messages[: change.truncated_to]
    known = [message.id for message in kept if message.id is not None]
    return extended(stored, change, now, new_messages(change.messages, known))


def whole(encoded: EncodedThread) -> bytes:
    return b"".join(encoded.parts())


@settings(max_examples=20)  # strategies of models are slow
@given(models(Thread), st.lists(st.lists(changes, max_size=3), max_size=3))
def test_a_grown_document_is_the_document_of_the_whole_thread(
    thread: Thread, groups: list[list[ThreadChangeSet]]
) -> None:
    start = ThreadHead(thread=thread, version=3)
    stored, encoded = StoredThread(start), EncodedThread(start)
    deltas: list[msgspec.Raw] = []
    for group in groups:
        before = stored.head.version
        for change in group:
            stored = after(stored, change, 1_000 + stored.head.version)
        links = history_since(stored.history, before, stored.head.version) or ()
        encoded.append(links, stored.head)
        deltas += [msgspec.Raw(encode(link.delta)) for link in links]
    assert whole(encoded) == whole(EncodedThread(stored.head))
    assert advance(start, deltas) == stored.head
    assert advance(stored.head, deltas) is stored.head
