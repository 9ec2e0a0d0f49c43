import asyncio
import logging
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
)
from pydantic_ai.models.test import TestModel

from tests.frameworks.pydantic_ai.messages import answered, asked, conversation, texts
from tests.marks import every_backend
from treadle import CorruptRecord, InvalidValue, Store, open_store
from treadle.integrations.pydantic_ai import TreadleConversationStore

Ours = TreadleConversationStore


async def documents(store: Store, prefix: str) -> list[tuple[str, ...]]:
    page = await store.documents.list("pydantic-ai", prefix=("", prefix), limit=200)
    return [each.key for each in page.items]


@every_backend
async def test_runs_of_an_agent_continue_a_conversation(store: Store) -> None:
    agent = Agent(TestModel())
    for _ in range(2):
        conversations = TreadleConversationStore(store)
        found = await conversations.load("c") or Conversation(conversation_id="c")
        result = await agent.run("Hello", conversation=found)
        await conversations.save(result, scope="anna")
    loaded = await TreadleConversationStore(store).load("c", scope="anna")
    assert loaded is not None
    assert len(loaded.messages) == 4
    assert loaded.usage.requests == 2


@every_backend
async def test_of_several_that_save_one_succeeds(conversations: Ours) -> None:
    await conversations.save(conversation("c", "a"))
    loaded = [await conversations.load("c") for _ in range(8)]

    async def save(number: int) -> bool:
        found = loaded[number]
        assert found is not None
        found.messages.append(answered(str(number)))
        try:
            await conversations.save(found)
        except ConversationConflict:
            return False
        return True

    results = await asyncio.gather(*map(save, range(8)))
    assert results.count(True) == 1
    assert texts(await conversations.load("c")) == ["a", str(results.index(True))]


@every_backend
async def test_a_conversation_whose_caller_is_cancelled_is_what_is_stored_and_goes_on(
    conversations: Ours, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await conversations.save(conversation("c", "a"))
    found = await conversations.load("c")
    assert found is not None
    found.messages.append(answered("b"))
    commit: Any = store.commit

    async def commit_and_be_cancelled(*values: Any, **options: Any) -> Any:
        asyncio.get_running_loop().call_soon(saving.cancel)
        return await commit(*values, **options)

    with monkeypatch.context() as patched:
        patched.setattr(store, "commit", commit_and_be_cancelled)
        saving = asyncio.create_task(conversations.save(found))
        await asyncio.gather(saving, return_exceptions=True)
    found.messages.append(asked("c"))
    await conversations.save(found)
    assert texts(await conversations.load("c")) == ["a", "b", "c"]


@every_backend
async def test_forks_of_one_message_succeed_together(conversations: Ours) -> None:
    await conversations.save(conversation("c", "a", "b"))

    async def fork(number: int) -> None:
        new = await conversations.fork("c", at=1, new_conversation_id=f"f{number}")
        new.messages.append(answered(str(number)))
        await conversations.save(new)

    await asyncio.gather(*map(fork, range(8)))
    for number in range(8):
        assert texts(await conversations.load(f"f{number}")) == ["a", str(number)]


async def test_a_history_is_read_in_pages(
    conversations: Ours, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await conversations.save(conversation("c", *map(str, range(900))))
    calls = []
    read = store._backend.read

    async def count(query: object) -> object:
        calls.append(query)
        return await read(query)  # type: ignore[arg-type]

    monkeypatch.setattr(store._backend, "read", count)
    await conversations.load("c")
    assert len(calls) == 1 + 1 + 5  # the record, the place of its head, and pages of 200


# --- sweep ----------------------------------------------------------------------------------------


@every_backend
async def test_a_sweep_deletes_what_no_conversation_leads_to(
    conversations: Ours, store: Store
) -> None:
    await conversations.save(conversation("c", "a", "b", "c"))
    await conversations.fork("c", at=2, new_conversation_id="f")
    await conversations.save(conversation("d", *map(str, range(150))))
    assert await conversations.sweep() == 0
    await conversations.delete("c")
    await conversations.delete("d")
    assert await conversations.sweep() == 151
    assert await conversations.sweep() == 0
    assert texts(await conversations.load("f")) == ["a", "b"]
    assert len(await documents(store, "e")) == len(await documents(store, "l")) == 2
    await conversations.delete("f")
    assert await conversations.sweep() == 2
    assert not (await store.documents.list("pydantic-ai")).items


async def test_a_swept_line_goes_on(conversations: Ours) -> None:
    await conversations.save(conversation("c", "a", "b", "c"))
    fork = await conversations.fork("c", at=1, new_conversation_id="f")
    await conversations.delete("c")
    await conversations.sweep()
    fork.messages.append(answered("x"))
    await conversations.save(fork)
    assert texts(await conversations.load("f")) == ["a", "x"]


async def test_what_is_pointed_at_during_a_sweep_stays(
    conversations: Ours, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork comes after the sweep has read the records, and before it deletes."""
    entries = await conversations.save(conversation("c", "a", "b", "c"))
    await conversations.delete("c")
    commit = store.commit
    forked = False

    async def fork_first(commands: object, **options: object) -> object:
        nonlocal forked
        if not forked:
            forked = True
            record = ConversationRecord(conversation_id="f", head_id=entries[1].id)
            await conversations.write_record(record, expected_revision=None)
        return await commit(commands, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", fork_first)
    assert await conversations.sweep() == 1
    assert texts(await conversations.load("f")) == ["a", "b"]


@every_backend
async def test_sweeps_and_forks_at_the_same_time_lose_nothing(store_url: str) -> None:
    async with open_store(store_url) as store:
        conversations = TreadleConversationStore(store)

        async def work(number: int) -> None:
            for turn in range(6):
                name = f"{number}-{turn}"
                await conversations.save(conversation(name, "a", "b", "c"))
                at = asyncio.create_task(conversations.delete(name))
                try:
                    fork = await conversations.fork(name, at=2, new_conversation_id=f"f{name}")
                except Exception:
                    await at
                    continue
                await at
                assert texts(await conversations.load(f"f{name}")) == ["a", "b"]
                fork.messages.append(answered("x"))
                await conversations.save(fork)

        async def sweep() -> None:
            for _ in range(10):
                await conversations.sweep()

        await asyncio.gather(*map(work, range(4)), sweep(), sweep())
        await conversations.sweep()
        for record in await conversations.list_conversations():
            assert texts(await conversations.load(record.conversation_id)) == ["a", "b", "x"]


# --- damage and bad input -------------------------------------------------------------------------


async def test_a_history_with_a_hole_is_refused(conversations: Ours, store: Store) -> None:
    entries = await conversations.save(conversation("c", "a", "b", "c"))
    line = entries[0].id
    await store.documents.delete("pydantic-ai", ("", "l", line, "0000000001"))
    with pytest.raises(LookupError):
        await conversations.load("c")
    assert texts(await conversations.load("c", limit=1)) == ["c"]


async def test_entries_in_the_wrong_order_are_refused(conversations: Ours, store: Store) -> None:
    entries = await conversations.save(conversation("c", "a", "b"))
    keys = [("", "l", entries[0].id, f"000000000{number}") for number in range(2)]
    first, second = await store.documents.load_many("pydantic-ai", keys)
    assert first is not None
    assert second is not None
    await store.documents.put("pydantic-ai", keys[0], second.value)
    with pytest.raises(LookupError):
        await conversations.load("c")
    await store.documents.put("pydantic-ai", keys[0], {**first.value, "parent_id": "gone"})
    with pytest.raises(LookupError):
        await conversations.load("c")


@pytest.mark.parametrize("prefix", ["r", "e", "l"])
@pytest.mark.parametrize("value", [None, [], {"message": 1}, "text"])
async def test_a_damaged_document_hurts_its_conversation_only(
    conversations: Ours,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    prefix: str,
    value: object,
) -> None:
    await conversations.save(conversation("c", "a"))
    await conversations.save(conversation("d", "b"))
    entries = await conversations.load_entries("c")
    assert entries is not None
    key = {
        "r": ("", "r", "c"),
        "e": ("", "e", entries[0].id),
        "l": ("", "l", entries[0].id, "0000000000"),
    }
    await store.documents.put("pydantic-ai", key[prefix], value)
    with pytest.raises(CorruptRecord):
        await conversations.load("c")
    assert texts(await conversations.load("d")) == ["b"]
    with caplog.at_level(logging.WARNING):
        listed = [each.conversation_id for each in await conversations.list_conversations()]
    assert listed == (["d"] if prefix == "r" else ["d", "c"])
    assert ("is left out" in caplog.text) == (prefix == "r")
    if prefix != "l":
        with pytest.raises(CorruptRecord):
            await conversations.sweep()


async def test_entries_that_do_not_follow_each_other_are_refused(conversations: Ours) -> None:
    entries = [ConversationEntry(parent_id=None, message=asked("a")) for _ in range(2)]
    record = ConversationRecord(conversation_id="c", head_id=entries[1].id)
    with pytest.raises(InvalidValue, match="does not follow"):
        await conversations.write_record(record, new_entries=entries, expected_revision=None)


async def test_an_id_that_is_no_key_is_refused(conversations: Ours) -> None:
    with pytest.raises(InvalidValue):
        await conversations.save(Conversation(conversation_id="a\nb", messages=[asked("a")]))
    assert await conversations.load("a\nb") is None
    await conversations.delete("a\nb")
    with pytest.raises(ConversationConflict):
        await conversations.delete_record("a\nb", expected_revision="r")
    with pytest.raises(LookupError):
        await conversations.read_entry("a\nb")
    with pytest.raises(InvalidValue):
        await conversations.save(conversation("c", "a"), scope="x" * 1100)
    assert not await conversations.list_conversations()
