"""What the history provider and the checkpoint storage promise beyond the framework's contract."""

import asyncio
import math
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    Content,
    FileCheckpointStorage,
    Message,
    WorkflowCheckpointException,
)

from tests.frameworks.agent_framework.values import Approval, checkpoint
from tests.marks import every_backend
from treadle import CorruptRecord, InvalidValue, Store, VersionConflict
from treadle import Message as StoredMessage
from treadle.integrations.agent_framework import TreadleCheckpointStorage, TreadleHistoryProvider

History = TreadleHistoryProvider
Storage = TreadleCheckpointStorage


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2


async def texts(history: History) -> list[str]:
    return [message.text for message in await history.get_messages("s")]


def said(*texts: str, **fields: Any) -> list[Message]:
    return [Message("user", [text], **fields) for text in texts]


@every_backend
async def test_a_conversation_that_is_passed_again_is_not_added_again(history: History) -> None:
    await history.save_messages("s", said("1", "2"))
    await history.save_messages("s", said("1", "2", "3"))
    await history.save_messages("s", said("2", "3", "4"))
    await history.save_messages("s", said("1", "2", "3", "4"))
    assert await texts(history) == ["1", "2", "3", "4"]
    await history.save_messages("s", said("1"))
    assert await texts(history) == ["1", "2", "3", "4", "1"]


@every_backend
async def test_a_long_conversation_that_is_passed_again_is_not_added_again(
    history: History,
) -> None:
    whole = said(*map(str, range(230)))
    await history.save_messages("s", whole[:225])
    await history.save_messages("s", whole)
    assert await texts(history) == [str(number) for number in range(230)]


@every_backend
async def test_what_two_runs_pass_at_the_same_time_is_added_once(
    history: History, store: Store
) -> None:
    await history.save_messages("s", said("0", "1"))
    runs = [TreadleHistoryProvider(store) for _ in range(6)]
    await asyncio.gather(*(each.save_messages("s", said("0", "1", "2", "3")) for each in runs))
    assert await texts(history) == ["0", "1", "2", "3"]


@every_backend
async def test_a_thread_has_the_owner_that_the_provider_names(store: Store) -> None:
    await TreadleHistoryProvider(store).save_messages("anna/1", said("before there were owners"))
    history = TreadleHistoryProvider(store, resource_id=lambda session: session.split("/")[0])
    assert [each.text for each in await history.get_messages("anna/1")] == [
        "before there were owners"
    ]
    for session in ("anna/1", "anna/2", "ben/1"):
        await history.save_messages(session, said(session))
    assert (await store.erase("anna")).threads == 2
    assert await history.get_messages("anna/1") == []
    of_anna = TreadleHistoryProvider(store, resource_id="anna")
    with pytest.raises(InvalidValue, match="another owner"):
        await of_anna.save_messages("ben/1", said("2"))
    with pytest.raises(InvalidValue, match="another owner"):
        await of_anna.get_messages("ben/1")


@every_backend
async def test_messages_commit_with_the_batch(history: History, store: Store) -> None:
    await history.save_messages("s", said("1", "2"))
    async with store.batch() as step:
        pending = TreadleHistoryProvider(store, step=step)
        await pending.save_messages("s", said("1", "2", "3"))
        await pending.save_messages("s", said("1", "2", "3", "4"))
        assert await texts(pending) == ["1", "2", "3", "4"]
        assert await texts(history) == ["1", "2"]
    assert await texts(history) == ["1", "2", "3", "4"]


@every_backend
async def test_a_batch_that_others_were_faster_than_writes_nothing(
    history: History, store: Store
) -> None:
    with pytest.raises(VersionConflict):
        async with store.batch() as step:
            pending = TreadleHistoryProvider(store, step=step)
            await pending.save_messages("s", said("ours"))
            await pending.save_messages("s", said("ours", "too"))
            await history.save_messages("s", said("theirs"))
    assert await texts(history) == ["theirs"]


async def test_no_messages_make_no_thread(history: History, store: Store) -> None:
    await history.save_messages("s", [])
    assert (await store.threads.list()).items == ()


async def test_messages_of_all_kinds_are_kept(history: History) -> None:
    call = Content.from_function_call("c", "f", arguments={"x": [1, None]})
    messages = [
        Message("system", ["rules"]),
        Message("user", ["a", "b"], author_name="me", message_id="m"),
        Message("assistant", [call, "text"], additional_properties={"key": {"n": 1}}),
        Message("tool", [Content.from_function_result("c", result="r")]),
        Message("developer", ["of another role"]),
        Message("user", [""]),
        Message("user", []),
        Message("user", [Content.from_text("x", additional_properties={"a": 1})]),
    ]
    await history.save_messages("s", messages)
    found = await history.get_messages("s")
    assert [each.to_dict() for each in found] == [each.to_dict() for each in messages]


async def test_messages_with_one_id_are_all_kept(history: History) -> None:
    await history.save_messages("s", said("before", message_id="m") + said("x"))
    await history.save_messages("s", said("after", message_id="m"))
    assert await texts(history) == ["before", "x", "after"]


async def test_the_messages_of_a_session_are_a_thread_that_others_can_use(
    history: History, store: Store
) -> None:
    await history.save_messages("s", [*said("hello"), Message("developer", ["rules"])])
    thread_id = history.thread_id("s")
    assert thread_id == "agent-framework.s"
    head = await store.threads.load(thread_id)
    assert head is not None
    assert [(each.role, each.content) for each in head.thread.messages] == [
        ("user", "hello"),
        ("assistant", "rules"),
    ]
    await store.threads.append(thread_id, StoredMessage.assistant("from elsewhere", id="m"))
    last = (await history.get_messages("s"))[-1]
    assert (last.role, last.text, last.message_id) == ("assistant", "from elsewhere", "m")


@every_backend
async def test_two_providers_of_an_agent_keep_what_each_of_them_is_to_keep(store: Store) -> None:
    memory = TreadleHistoryProvider(store)
    audit = TreadleHistoryProvider(store, "audit", prefix="audit", store_context_messages=True)
    await memory.save_messages("s", said("question"))
    await audit.save_messages("s", said("context", "question"))
    assert await texts(memory) == ["question"]
    assert await texts(audit) == ["context", "question"]
    assert audit.thread_id("s") == "audit.s"


@pytest.mark.parametrize("fields", [7, {"role": []}, {"unknown": 1}])
async def test_a_damaged_message_is_named(history: History, store: Store, fields: object) -> None:
    await history.save_messages("s", said("hello"))
    damaged = StoredMessage(role="user", content=[7], extra={"agent_framework": fields})
    await store.threads.append("agent-framework.s", damaged)
    with pytest.raises(CorruptRecord, match=r"thread 'agent-framework\.s'"):
        await history.get_messages("s")


@every_backend
async def test_a_checkpoint_that_is_saved_again_is_listed_once(storage: Storage) -> None:
    first = checkpoint("one", checkpoint_id="c", timestamp="2025-01-02T00:00:00+00:00")
    moved = checkpoint("two", checkpoint_id="c", timestamp="2025-01-01T00:00:00+00:00")
    for each in (first, first, moved):
        await storage.save(each)
    assert await storage.list_checkpoints(workflow_name="one") == []
    assert await storage.list_checkpoints(workflow_name="two") == [moved]
    assert await storage.delete("c") is True
    assert await storage.list_checkpoint_ids(workflow_name="two") == []


async def test_checkpoints_are_in_the_order_of_their_times(storage: Storage) -> None:
    times = [
        "2025-01-01T01:00:00.5+00:00",
        "2025-01-01T01:00:00+00:00",
        "2025-01-01T02:30:00+02:00",
    ]
    for number, time in enumerate(times):
        await storage.save(checkpoint(checkpoint_id=str(number), timestamp=time))
    assert await storage.list_checkpoint_ids(workflow_name="workflow") == ["2", "1", "0"]


async def test_many_checkpoints_are_listed_whole(storage: Storage) -> None:
    for number in range(250):
        await storage.save(checkpoint(checkpoint_id=f"{number:03}"))
    ids = await storage.list_checkpoint_ids(workflow_name="workflow")
    assert len(ids) == len(await storage.list_checkpoints(workflow_name="workflow")) == 250


async def test_the_latest_checkpoint_is_the_one_before_if_it_is_deleted_meanwhile(
    storage: Storage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        time = f"2025-01-0{number + 1}T00:00:00+00:00"
        await storage.save(checkpoint(checkpoint_id=str(number), timestamp=time))
    load: Any = store.documents.load_many

    async def load_late(*args: object, **options: object) -> object:
        monkeypatch.undo()
        await storage.delete("2")
        return await load(*args, **options)

    monkeypatch.setattr(store.documents, "load_many", load_late)
    latest = await storage.get_latest(workflow_name="workflow")
    assert latest is not None
    assert latest.checkpoint_id == "1"


async def test_types_that_are_not_allowed_are_not_made(storage: Storage, store: Store) -> None:
    id = await storage.save(checkpoint(state={"approval": Approval("buy", ())}))
    strict = TreadleCheckpointStorage(store)
    with pytest.raises(WorkflowCheckpointException, match="Approval"):
        await strict.load(id)
    assert (await storage.load(id)).state == {"approval": Approval("buy", ())}


@every_backend
@pytest.mark.parametrize("value", [Approval("buy", ()), lambda: None])
async def test_a_checkpoint_that_could_not_be_loaded_again_is_not_saved(
    store: Store, value: object
) -> None:
    strict = TreadleCheckpointStorage(store)
    with pytest.raises(WorkflowCheckpointException, match="checkpoint 'c' is not saved"):
        await strict.save(checkpoint(checkpoint_id="c", state={"value": value}))
    assert await strict.list_checkpoint_ids(workflow_name="workflow") == []


@pytest.mark.parametrize(
    "id", ["a\nb", "x" * 2_000, "\ud800", ""], ids=["line break", "long", "surrogate", "empty"]
)
async def test_an_id_that_no_checkpoint_can_have_is_of_none(storage: Storage, id: str) -> None:
    with pytest.raises(WorkflowCheckpointException, match="No checkpoint found"):
        await storage.load(id)
    assert await storage.delete(id) is False


@every_backend
async def test_values_that_a_store_does_not_keep_are_in_checkpoints_all_the_same(
    storage: Storage,
) -> None:
    state = {"best": math.inf, "id": 2**127 + 1, "text": "half of an emoji: \ud83d"}
    saved = checkpoint(state={"list": [state], "nan": math.nan})
    await storage.save(saved)
    found = (await storage.load(saved.checkpoint_id)).state
    assert found["list"] == [state]
    assert math.isnan(found["nan"])


async def test_members_of_enums_are_in_checkpoints_as_in_the_frameworks_own_files(
    storage: Storage, tmp_path: Path
) -> None:
    saved = checkpoint(state={"color": Color.RED, Color.RED.value: Level.HIGH, "list": [Color.RED]})
    for each in (FileCheckpointStorage(tmp_path), storage):
        await each.save(saved)
        found = (await each.load(saved.checkpoint_id)).state
        assert found == {"color": "red", "red": 2, "list": ["red"]}
        assert {*map(type, found.values())} == {str, int, list}


async def test_a_checkpoint_that_is_nested_too_deep_is_refused(storage: Storage) -> None:
    deep: Any = "x"
    for _ in range(120):
        deep = [deep]
    with pytest.raises(InvalidValue, match="nested deeper"):
        await storage.save(checkpoint(state={"x": deep}))
    assert await storage.list_checkpoint_ids(workflow_name="workflow") == []


async def test_keys_that_are_numbers_are_kept_as_json_has_them(history: History) -> None:
    await history.save_messages("s", said("a", additional_properties={"scores": {1: 0.5}}))
    [found] = await history.get_messages("s")
    assert found.additional_properties == {"scores": {"1": 0.5}}


@pytest.mark.parametrize("value", [None, {"row": ["a"], "value": {"unknown": 1}}])
async def test_a_damaged_checkpoint_is_named(storage: Storage, store: Store, value: object) -> None:
    await store.documents.put("agent-framework", ("", "checkpoints", "c"), value)
    with pytest.raises((CorruptRecord, WorkflowCheckpointException), match=r"'c'|unknown"):
        await storage.load("c")
