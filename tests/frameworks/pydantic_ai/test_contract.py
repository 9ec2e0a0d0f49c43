"""The contract of PydanticAI's conversation stores: what the interface documents.

PydanticAI publishes no tests for them. `test_reference.py` runs these on its store in memory.
"""

import pytest
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage

from tests.frameworks.pydantic_ai.messages import RICH, answered, asked, conversation, texts
from tests.marks import every_backend

pytestmark = every_backend


async def names(store: ConversationStore, **options: object) -> list[str]:
    found = await store.list_conversations(**options)  # type: ignore[arg-type]
    return [record.conversation_id for record in found]


async def test_what_is_saved_is_loaded(conversations: ConversationStore) -> None:
    saved = conversation("c", "a", "b")
    entries = await conversations.save(saved)
    loaded = await conversations.load("c")
    assert loaded is not None
    assert loaded.messages == saved.messages
    assert loaded.revision == saved.revision is not None
    assert [entry.message for entry in entries] == saved.messages
    assert await conversations.load_entries("c") == entries


async def test_there_is_no_unknown_conversation(conversations: ConversationStore) -> None:
    assert await conversations.load("c") is None
    assert await conversations.load_entries("c") is None
    assert await conversations.read_record("c") is None


async def test_messages_of_all_kinds_come_back(conversations: ConversationStore) -> None:
    await conversations.save(Conversation(conversation_id="c", messages=RICH))
    loaded = await conversations.load("c")
    assert loaded is not None
    assert loaded.messages == RICH


async def test_usage_and_deferred_requests_come_back(conversations: ConversationStore) -> None:
    saved = conversation("c", "a")
    saved.usage = RunUsage(requests=2, tool_calls=3, input_tokens=5, details={"x": 1})
    call = ToolCallPart("pay", {"amount": 40}, tool_call_id="t")
    saved.deferred_tool_requests = DeferredToolRequests(
        approvals=[call], metadata={"t": {"why": "large"}}
    )
    await conversations.save(saved)
    loaded = await conversations.load("c")
    assert loaded is not None
    assert loaded.usage == saved.usage
    assert loaded.deferred_tool_requests == saved.deferred_tool_requests


async def test_an_empty_conversation_can_be_saved(conversations: ConversationStore) -> None:
    assert await conversations.save(conversation("c")) == []
    assert texts(await conversations.load("c")) == []


async def test_a_save_appends_what_is_new(conversations: ConversationStore) -> None:
    saved = conversation("c", "a")
    first = await conversations.save(saved)
    saved.messages.append(answered("b"))
    second = await conversations.save(saved)
    assert (len(first), len(second)) == (1, 1)
    assert second[0].parent_id == first[0].id
    assert await conversations.save(saved) == []
    assert texts(await conversations.load("c")) == ["a", "b"]


async def test_the_last_messages_can_be_loaded(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a", "b", "c"))
    assert texts(await conversations.load("c", limit=2)) == ["b", "c"]
    assert texts(await conversations.load("c", limit=0)) == []
    assert texts(await conversations.load("c", limit=9)) == ["a", "b", "c"]
    with pytest.raises(UserError):
        await conversations.load("c", limit=-1)


async def test_a_window_is_continued(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a", "b", "c"))
    window = await conversations.load("c", limit=1)
    assert window is not None
    window.messages.append(answered("d"))
    await conversations.save(window)
    assert texts(await conversations.load("c")) == ["a", "b", "c", "d"]


async def test_a_stale_save_conflicts(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"))
    one, other = await conversations.load("c"), await conversations.load("c")
    assert one is not None
    assert other is not None
    one.messages.append(answered("b"))
    await conversations.save(one)
    other.messages.append(answered("lost"))
    with pytest.raises(ConversationConflict):
        await conversations.save(other)
    assert texts(await conversations.load("c")) == ["a", "b"]


async def test_a_new_conversation_does_not_replace_one(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"))
    with pytest.raises(ConversationConflict):
        await conversations.save(conversation("c", "b"))


async def test_a_deleted_conversation_is_not_saved_over_its_successor(
    conversations: ConversationStore,
) -> None:
    old = conversation("c", "a")
    await conversations.save(old)
    await conversations.delete("c")
    with pytest.raises(ConversationConflict):
        await conversations.save(old)
    await conversations.save(conversation("c", "b"))
    with pytest.raises(ConversationConflict):
        await conversations.save(old)
    assert texts(await conversations.load("c")) == ["b"]


async def test_a_rewritten_history_is_a_branch(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a", "b"))
    record = await conversations.read_record("c")
    assert record is not None
    rewritten = conversation("c", "a", "x", "y")
    rewritten.revision = record.revision
    await conversations.save(rewritten)
    assert texts(await conversations.load("c")) == ["a", "x", "y"]
    after = await conversations.read_record("c")
    assert after is not None
    assert after.branches == [record.head_id]
    assert record.head_id is not None
    assert len(await conversations.read_history(record.head_id)) == 2


async def test_a_branch_leaves_a_history_and_returns_to_it(
    conversations: ConversationStore,
) -> None:
    saved = conversation("c", "a", "b", "c")
    entries = await conversations.save(saved)
    branched = await conversations.branch("c", at=1, expected_revision=saved.revision)
    assert texts(branched) == ["a"]
    branched.messages.append(answered("x"))
    await conversations.save(branched)
    assert texts(await conversations.load("c")) == ["a", "x"]
    back = await conversations.branch(
        "c", from_entry=entries[2].id, expected_revision=branched.revision
    )
    assert texts(back) == ["a", "b", "c"]


async def test_a_stale_branch_conflicts(conversations: ConversationStore) -> None:
    saved = conversation("c", "a")
    await conversations.save(saved)
    with pytest.raises(ConversationConflict):
        await conversations.branch("c", at=0, expected_revision="another")


async def test_a_fork_shares_messages_and_goes_its_way(conversations: ConversationStore) -> None:
    saved = conversation("c", "a", "b")
    entries = await conversations.save(saved)
    fork = await conversations.fork("c", new_conversation_id="f", at=1)
    fork.messages.append(answered("x"))
    await conversations.save(fork)
    saved.messages.append(answered("c"))
    await conversations.save(saved)
    whole = await conversations.fork("c", new_conversation_id="w")
    whole.messages.append(answered("y"))
    await conversations.save(whole)
    assert texts(await conversations.load("f")) == ["a", "x"]
    assert texts(await conversations.load("c")) == ["a", "b", "c"]
    assert texts(await conversations.load("w")) == ["a", "b", "c", "y"]
    record = await conversations.read_record("f")
    assert record is not None
    assert (record.forked_from, record.forked_at) == ("c", entries[0].id)


async def test_forks_continue_behind_the_same_message(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"))
    forks = [await conversations.fork("c", new_conversation_id=name) for name in "fgh"]
    for fork in forks:
        fork.messages.append(asked(fork.conversation_id))
        await conversations.save(fork)
    for name in "fgh":
        assert texts(await conversations.load(name)) == ["a", name]


async def test_a_fork_does_not_replace_a_conversation(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"))
    await conversations.save(conversation("d", "b"))
    with pytest.raises(ConversationConflict):
        await conversations.fork("c", new_conversation_id="d")


async def test_a_fork_outlives_its_source(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a", "b"))
    await conversations.fork("c", new_conversation_id="f", at=1)
    await conversations.delete("c")
    assert texts(await conversations.load("f")) == ["a"]


async def test_conversations_are_listed_newest_first(conversations: ConversationStore) -> None:
    saved = [conversation(name, "a") for name in "abc"]
    for each in saved:
        await conversations.save(each)
    saved[0].messages.append(answered("b"))
    await conversations.save(saved[0])
    assert await names(conversations) == ["a", "c", "b"]
    assert await names(conversations, limit=2) == ["a", "c"]
    assert await names(conversations, limit=0) == []


async def test_a_scope_keeps_conversations_apart(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"), scope="anna")
    await conversations.save(conversation("d", "b"), scope="ann")
    await conversations.save(conversation("e", "c"))
    assert await names(conversations, scope="anna") == ["c"]
    assert await names(conversations, scope="ann") == ["d"]
    assert await names(conversations) == ["e", "d", "c"]
    assert await conversations.load("c", scope="ben") is None
    await conversations.delete("c", scope="ben")
    assert texts(await conversations.load("c", scope="anna")) == ["a"]


async def test_a_deleted_conversation_is_listed_no_more(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"), scope="anna")
    await conversations.delete("c")
    await conversations.delete("c")
    assert await names(conversations) == await names(conversations, scope="anna") == []


async def test_a_stale_deletion_conflicts(conversations: ConversationStore) -> None:
    await conversations.save(conversation("c", "a"))
    for name in "cd":
        with pytest.raises(ConversationConflict):
            await conversations.delete_record(name, expected_revision="another")


async def test_a_record_does_not_point_at_a_missing_entry(
    conversations: ConversationStore,
) -> None:
    record = ConversationRecord(conversation_id="c", head_id="missing")
    with pytest.raises(ConversationConflict):
        await conversations.write_record(record, expected_revision=None)
    assert await conversations.read_record("c") is None


async def test_an_entry_is_read_by_its_id(conversations: ConversationStore) -> None:
    entries = await conversations.save(conversation("c", "a", "b"))
    assert await conversations.read_entry(entries[1].id) == entries[1]
    with pytest.raises(LookupError):
        await conversations.read_entry("missing")
    with pytest.raises(LookupError):
        await conversations.read_history("missing")


async def test_what_is_given_and_returned_is_a_copy(conversations: ConversationStore) -> None:
    entry = ConversationEntry(parent_id=None, message=asked("a"))
    record = ConversationRecord(conversation_id="c", head_id=entry.id)
    await conversations.write_record(record, new_entries=[entry], expected_revision=None)
    record.branches.append("x")
    found = await conversations.read_record("c")
    assert found is not None
    assert found.branches == []
    found.branches.append("y")
    (await conversations.read_entry(entry.id)).message.parts = []
    assert (await conversations.read_entry(entry.id)).message == asked("a")
    again = await conversations.read_record("c")
    assert again is not None
    assert again.branches == []


async def test_a_long_history_comes_back(conversations: ConversationStore) -> None:
    saved = conversation("c", *map(str, range(450)))
    await conversations.save(saved)
    branched = await conversations.branch("c", at=420, expected_revision=saved.revision)
    branched.messages += [asked(str(number)) for number in range(250)]
    await conversations.save(branched)
    expected = [*map(str, range(420)), *map(str, range(250))]
    assert texts(await conversations.load("c")) == expected
    assert texts(await conversations.load("c", limit=300)) == expected[-300:]
