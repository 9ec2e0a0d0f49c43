"""Threads: how a change set is applied, versions, states rebuilt from patches, pages."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import (
    InvalidValue,
    Message,
    MessageMetadata,
    PatchError,
    Thread,
    ThreadChangeSet,
    ThreadHead,
    ThreadMetadata,
)
from treadle.backends.model.tables import Tables
from treadle.core.codec import checked
from treadle.core.patches import Append, Increment
from treadle.core.thread_queries import ListMessages
from treadle.core.threads import (
    History,
    StoredThread,
    ThreadDelta,
    appended,
    created,
    saved,
)
from treadle.testing._harness.builders import said, says, sets, tracked
from treadle.testing._harness.strategies.models import models


def contents(thread: Thread) -> list[Any]:
    return [message.content for message in thread.messages]


def test_a_history_of_any_length_is_dropped() -> None:
    stored = StoredThread(created(Thread(id="t"), 1))
    for _ in range(200_000):
        stored = StoredThread(stored.head, _longer(stored), stored.origin)
    del stored  # as a recursion in C, it would end the process


def _longer(stored: StoredThread) -> History:
    delta = ThreadDelta(version=1, committed_at=1, changes=ThreadChangeSet())
    return History(delta, (), 0, (), stored.history)


def test_a_change_set_takes_lists_and_is_stored_with_tuples() -> None:
    changes = ThreadChangeSet(messages=[Message.user("hi")], patches=[], actions=[1])
    assert isinstance(checked(changes).messages, tuple)


def test_a_snapshot_replaces_the_state_and_clears_the_patches() -> None:
    thread = Thread(id="t", state={"a": 1}, patches=(sets("a", 2),))
    after = ThreadChangeSet(snapshot={"b": 1}).apply_to(thread)
    assert (after.state, after.patches) == ({"b": 1}, ())


def test_patches_that_come_with_a_snapshot_are_added_after_it() -> None:
    thread = Thread(id="t", state={}, patches=(sets("a", 1),))
    after = ThreadChangeSet(snapshot={"s": 1}, patches=(sets("b", 2),)).apply_to(thread)
    assert after.patches == (sets("b", 2),)
    assert after.rebuild_state() == {"s": 1, "b": 2}


def test_without_a_snapshot_patches_are_added_at_the_end() -> None:
    thread = Thread(id="t", state={"s": 0}, patches=(sets("a", 1),))
    after = ThreadChangeSet(patches=(sets("a", 2),)).apply_to(thread)
    assert (after.state, after.patches) == ({"s": 0}, (sets("a", 1), sets("a", 2)))


@pytest.mark.parametrize("snapshot", [0, "", False, {}, []])
def test_an_empty_snapshot_is_one_too(snapshot: Any) -> None:
    thread = Thread(id="t", state={"a": 1}, patches=(sets("a", 2),))
    after = ThreadChangeSet(snapshot=snapshot).apply_to(thread)
    assert (after.state, after.patches) == (snapshot, ())


def test_messages_are_added_in_order() -> None:
    thread = Thread(id="t", messages=(said("a", "1"),))
    after = ThreadChangeSet(messages=(said("b", "2"), said("c", "3"))).apply_to(thread)
    assert contents(after) == ["a", "b", "c"]


def test_a_message_whose_id_the_thread_has_is_skipped() -> None:
    thread = Thread(id="t", messages=(said("old", "1"),))
    after = ThreadChangeSet(messages=(said("new", "1"), said("b", "2"))).apply_to(thread)
    assert contents(after) == ["old", "b"]


def test_of_two_messages_with_one_id_in_a_change_set_the_first_is_taken() -> None:
    after = ThreadChangeSet(messages=(said("a", "1"), said("b", "1"))).apply_to(Thread(id="t"))
    assert contents(after) == ["a"]


def test_messages_without_an_id_are_never_skipped() -> None:
    thread = Thread(id="t", messages=(said("a"),))
    after = ThreadChangeSet(messages=(said("a"), said("a"))).apply_to(thread)
    assert contents(after) == ["a", "a", "a"]


@given(models(Thread, extra=False), models(ThreadChangeSet, extra=False))
def test_applying_twice_adds_no_message_with_an_id_again(
    thread: Thread, changes: ThreadChangeSet
) -> None:
    changes = msgspec.structs.replace(changes, truncated_to=None)
    once = changes.apply_to(thread)
    twice = changes.apply_to(once)
    nameless = [message for message in changes.messages if message.id is None]
    assert len(twice.messages) == len(once.messages) + len(nameless)
    ids = [m.id for m in once.messages[len(thread.messages) :] if m.id is not None]
    assert len(ids) == len(set(ids))


@given(models(Thread), models(ThreadChangeSet))
def test_a_change_set_touches_messages_state_and_patches_only(
    thread: Thread, changes: ThreadChangeSet
) -> None:
    after = changes.apply_to(thread)
    kept = thread.messages[: changes.truncated_to]
    assert after.messages[: len(kept)] == kept
    restored = msgspec.structs.replace(
        after, messages=thread.messages, state=thread.state, patches=thread.patches
    )
    assert restored == thread


def test_a_new_thread_is_at_version_0_with_both_times_now() -> None:
    head = created(Thread(id="t"), 5)
    assert head.version == 0
    assert head.thread.metadata == ThreadMetadata(created_at=5, updated_at=5)


def test_a_new_thread_keeps_the_created_at_it_brings() -> None:
    thread = Thread(id="t", metadata=ThreadMetadata(created_at=0, updated_at=1, version=7))
    metadata = created(thread, 5).thread.metadata
    assert (metadata.created_at, metadata.updated_at, metadata.version) == (0, 5, 7)


def test_an_append_raises_the_version_by_one_and_moves_updated_at() -> None:
    head = appended(created(Thread(id="t"), 5), says("a"), 9)
    assert head.version == 1
    assert head.thread.metadata == ThreadMetadata(created_at=5, updated_at=9)
    assert contents(head.thread) == ["a"]


def test_an_empty_append_raises_the_version_too() -> None:
    assert appended(created(Thread(id="t"), 5), ThreadChangeSet(), 9).version == 1


def test_a_save_of_a_new_thread_is_version_0_and_of_another_one_on() -> None:
    first = saved(Thread(id="t"), None, 5)
    again = saved(Thread(id="t", state=1), first, 6)
    assert (first.version, again.version) == (0, 1)
    assert again.thread.metadata == ThreadMetadata(created_at=6, updated_at=6)
    assert saved(first.thread, again, 7).thread.metadata == ThreadMetadata(
        created_at=5, updated_at=7
    )


PATCHED = Thread(
    id="t",
    state={"n": 0},
    patches=(
        tracked(Increment(path=("n",), amount=1)),
        sets("a", "x"),
        tracked(Increment(path=("n",), amount=2)),
    ),
)


def test_rebuild_state_applies_all_patches_in_order() -> None:
    assert PATCHED.rebuild_state() == {"n": 3, "a": "x"}
    assert PATCHED.state == {"n": 0}


@pytest.mark.parametrize(
    ("index", "state"), [(0, {"n": 1}), (1, {"n": 1, "a": "x"}), (2, {"n": 3, "a": "x"})]
)
def test_replay_to_applies_the_patches_up_to_and_with_the_index(index: int, state: Any) -> None:
    assert PATCHED.replay_to(index) == state


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_replay_to_wants_the_index_of_a_patch(index: int) -> None:
    with pytest.raises(InvalidValue, match="is not one of 3 patches"):
        PATCHED.replay_to(index)


def test_a_snapshot_folds_the_patches_into_the_state() -> None:
    folded = PATCHED.snapshot()
    assert (folded.state, folded.patches) == ({"n": 3, "a": "x"}, ())
    assert folded.rebuild_state() == PATCHED.rebuild_state()


def test_a_patch_that_does_not_fit_says_where() -> None:
    broken = Thread(id="t", state={"a": 1}, patches=(tracked(Append(path=("a",), value=1)),))
    for call in (broken.rebuild_state, broken.snapshot, lambda: broken.replay_to(0)):
        with pytest.raises(PatchError, match="append requires array value at") as caught:
            call()
        assert caught.value.where == "$.a"
        assert "thread 't'" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(
    ("threshold", "needed"), [(0, True), (2, True), (3, True), (4, False), (100, False)]
)
def test_a_snapshot_is_needed_from_the_threshold_on(threshold: int, needed: bool) -> None:
    assert PATCHED.needs_snapshot(threshold) is needed


def page(messages: tuple[Message, ...], **query: Any) -> tuple[list[int], bool]:
    tables = Tables()
    head = ThreadHead(thread=Thread(id="t", messages=messages), version=0)
    tables.threads.put("t", StoredThread(head))
    found = ListMessages(thread_id="t", **query).answer(tables, 0)
    cursors = [stored.cursor for stored in found.messages]
    assert [stored.message for stored in found.messages] == [messages[at] for at in cursors]
    assert found.next_cursor == (cursors[-1] if cursors else None)
    assert found.prev_cursor == (cursors[0] if cursors else None)
    return cursors, found.has_more


TEN = tuple(said(str(number)) for number in range(10))
PAGES: dict[str, tuple[dict[str, Any], list[int], bool]] = {
    "all": ({}, list(range(10)), False),
    "limit": ({"limit": 3}, [0, 1, 2], True),
    "limit that fits": ({"limit": 10}, list(range(10)), False),
    "limit clamped": ({"limit": 0}, [0], True),
    "after is excluded": ({"after": 4, "limit": 2}, [5, 6], True),
    "before is excluded": ({"before": 2}, [0, 1], False),
    "between": ({"after": 2, "before": 6}, [3, 4, 5], False),
    "after the end": ({"after": 9}, [], False),
    "before the start": ({"before": 0}, [], False),
    "after below zero": ({"after": -7, "limit": 1}, [0], True),
    "before below zero": ({"before": -7}, [], False),
    "before beyond the end": ({"before": 99, "after": 8}, [9], False),
    "crossed": ({"after": 6, "before": 3}, [], False),
    "newest first": ({"order": "desc", "limit": 3}, [9, 8, 7], True),
    "newest first before": ({"order": "desc", "before": 7, "limit": 3}, [6, 5, 4], True),
    "newest first after": ({"order": "desc", "after": 7}, [9, 8], False),
}


@pytest.mark.parametrize(("query", "cursors", "more"), PAGES.values(), ids=PAGES)
def test_a_page_of_messages(query: dict[str, Any], cursors: list[int], more: bool) -> None:
    assert page(TEN, **query) == (cursors, more)


def test_a_page_leaves_out_what_is_not_asked_for() -> None:
    mine = MessageMetadata(run_id="r")
    messages = (
        said("0", metadata=mine),
        said("1", visibility="internal", metadata=mine),
        said("2", metadata=MessageMetadata()),
        said("3"),
    )
    assert page(messages) == ([0, 2, 3], False)
    assert page(messages, visibility="internal") == ([1], False)
    assert page(messages, visibility=None) == ([0, 1, 2, 3], False)
    assert page(messages, run_id="r") == ([0], False)
    assert page(messages, run_id="r", visibility=None) == ([0, 1], False)
    assert page(messages, run_id="other", visibility=None) == ([], False)
    assert page(messages, limit=1, visibility="internal") == ([1], False)


@given(
    st.lists(st.sampled_from(["all", "internal"]), max_size=12),
    st.integers(1, 5),
    st.sampled_from(["asc", "desc"]),
    st.sampled_from(["all", "internal", None]),
)
def test_pages_follow_each_other_without_gap_or_repetition(
    visibilities: list[Any], limit: int, order: Any, visibility: Any
) -> None:
    messages = tuple(said("", visibility=each) for each in visibilities)
    asked: dict[str, Any] = {"limit": limit, "order": order, "visibility": visibility}
    seen: list[int] = []
    more = True
    while more:
        cursors, more = page(messages, **asked)
        seen += cursors
        if cursors:
            asked["after" if order == "asc" else "before"] = cursors[-1]
    wanted = [at for at, each in enumerate(visibilities) if visibility in (None, each)]
    assert seen == (wanted if order == "asc" else wanted[::-1])


def test_heads_and_threads_are_values() -> None:
    assert ThreadHead(thread=Thread(id="t"), version=1) == ThreadHead(
        thread=Thread(id="t"), version=1
    )
    with pytest.raises(AttributeError):
        Thread(id="t").id = "x"  # type: ignore[misc]
