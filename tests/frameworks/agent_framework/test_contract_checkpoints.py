"""The contract of checkpoint storages: a test of ours for each that the framework has.

Its `tests/workflow/test_checkpoint.py` is in no package. These tests have the names of its tests of
the storage in memory, without `memory`.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from agent_framework import (
    CheckpointStorage,
    WorkflowCheckpoint,
    WorkflowCheckpointException,
    WorkflowEvent,
    WorkflowMessage,
    WorkflowRunState,
)

from tests.frameworks.agent_framework.values import (
    THEN,
    Approval,
    asking,
    checkpoint,
    three_steps,
)
from tests.marks import every_backend
from treadle.integrations.agent_framework import TreadleCheckpointStorage

pytestmark = every_backend

Storage = TreadleCheckpointStorage


async def again(storage: Storage, **fields: Any) -> WorkflowCheckpoint:
    """Save a checkpoint, and load it."""
    return await storage.load(await storage.save(checkpoint(**fields)))


async def of(storage: Storage, name: str) -> list[WorkflowCheckpoint]:
    return await storage.list_checkpoints(workflow_name=name)


def test_checkpoint_storage_protocol_compliance(storage: Storage) -> None:
    compliant: CheckpointStorage = storage
    methods = ("save", "load", "list_checkpoints", "delete", "list_checkpoint_ids", "get_latest")
    assert all(callable(getattr(compliant, name)) for name in methods)


async def test_checkpoint_storage_save_and_load(storage: Storage) -> None:
    saved = checkpoint(messages={"a": [{"data": "hello"}]}, pending_request_info_events={"r": {}})
    assert await storage.save(saved) == saved.checkpoint_id
    assert await storage.load(saved.checkpoint_id) == saved


async def test_checkpoint_storage_load_nonexistent(storage: Storage) -> None:
    with pytest.raises(WorkflowCheckpointException, match="No checkpoint found with ID none"):
        await storage.load("none")


async def test_checkpoint_storage_list(storage: Storage) -> None:
    saved = [checkpoint("one"), checkpoint("one"), checkpoint("two")]
    for each in saved:
        await storage.save(each)
    assert await of(storage, "one") == saved[:2]
    assert await of(storage, "two") == saved[2:]
    assert await of(storage, "none") == []
    ids = await storage.list_checkpoint_ids(workflow_name="one")
    assert ids == [each.checkpoint_id for each in saved[:2]]
    assert await storage.list_checkpoint_ids(workflow_name="none") == []


async def test_checkpoint_storage_delete(storage: Storage) -> None:
    id = await storage.save(checkpoint())
    assert await storage.delete(id) is True
    with pytest.raises(WorkflowCheckpointException):
        await storage.load(id)
    assert await storage.delete(id) is False
    assert await of(storage, "workflow") == []


async def test_checkpoint_storage_get_latest(storage: Storage) -> None:
    first = checkpoint("one", timestamp="2026-01-01T00:00:00+00:00")
    second, other = checkpoint("one"), checkpoint("two")
    for each in (second, first, other):
        await storage.save(each)
    assert await storage.get_latest(workflow_name="one") == second
    assert await storage.get_latest(workflow_name="two") == other
    assert await storage.get_latest(workflow_name="none") is None


async def test_workflow_checkpoint_chaining_via_previous_checkpoint_id(storage: Storage) -> None:
    await three_steps(storage).run("hello")
    found = await of(storage, "three-steps")
    assert len(found) >= 3
    assert [each.previous_checkpoint_id for each in found] == [
        None,
        *(each.checkpoint_id for each in found[:-1]),
    ]


async def test_workflow_checkpoint_ancestry_preserved_after_resume(storage: Storage) -> None:
    await three_steps(storage).run("hello")
    before = await of(storage, "three-steps")
    middle = before[len(before) // 2]
    await three_steps(storage).run(checkpoint_id=middle.checkpoint_id)
    added = (await of(storage, "three-steps"))[len(before) :]
    assert [each.previous_checkpoint_id for each in added] == [
        middle.checkpoint_id,
        *(each.checkpoint_id for each in added[:-1]),
    ]


async def test_workflow_entry_checkpoint_records_input_and_replays(storage: Storage) -> None:
    first = (await three_steps(storage).run("hello")).get_outputs()
    assert first == ["hello-start-middle-done"]
    entry = (await of(storage, "three-steps"))[0]
    [seeded] = [message for messages in entry.messages.values() for message in messages]
    assert (entry.iteration_count, seeded.data) == (0, "hello")
    replayed = await three_steps(storage).run(checkpoint_id=entry.checkpoint_id)
    assert replayed.get_outputs() == first


async def test_workflow_one_checkpoint_per_superstep_lineage_and_replay(storage: Storage) -> None:
    outputs = (await three_steps(storage).run("hello")).get_outputs()
    found = await of(storage, "three-steps")
    assert [each.iteration_count for each in found] == list(range(len(found)))
    for each in found[:-1]:
        replayed = await three_steps(storage).run(checkpoint_id=each.checkpoint_id)
        assert replayed.get_outputs() == outputs


async def test_workflow_response_entry_checkpoint_records_response_and_replays(
    storage: Storage,
) -> None:
    workflow = asking(storage)
    asked = await workflow.run("approve")
    assert asked.get_final_state() == WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
    before = await of(storage, "asking")
    assert before[-1].pending_request_info_events
    answered = await workflow.run(responses={"request": "yes"})
    assert answered.get_outputs() == ["approve->yes"]
    entry = (await of(storage, "asking"))[len(before)]
    assert entry.previous_checkpoint_id == before[-1].checkpoint_id
    assert entry.messages
    replayed = await asking(storage).run(checkpoint_id=entry.checkpoint_id)
    assert replayed.get_outputs() == ["approve->yes"]


async def assert_kept(storage: Storage, state: Mapping[str, Any]) -> None:
    found = (await again(storage, state=state)).state
    assert found == state
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in state.items()
    }


async def test_checkpoint_storage_roundtrip_json_native_types(storage: Storage) -> None:
    nested = {"list": [1, [None, {}]], "empty": ""}
    state = {"text": "é", "int": -7, "float": 0.1, "true": True, "none": None, "nested": nested}
    await assert_kept(storage, state)


async def test_checkpoint_storage_roundtrip_datetime(storage: Storage) -> None:
    await assert_kept(storage, {"aware": THEN, "naive": THEN.replace(tzinfo=None)})


async def test_checkpoint_storage_roundtrip_dataclass(storage: Storage) -> None:
    await assert_kept(storage, {"approval": Approval("buy", (1, "two"))})


async def test_checkpoint_storage_roundtrip_tuple_and_set(storage: Storage) -> None:
    await assert_kept(storage, {"tuple": (1, (2, 3)), "set": {1, 2}, "frozen": frozenset({1})})


async def test_checkpoint_storage_roundtrip_complex_nested_structures(storage: Storage) -> None:
    inner = {"list": [Approval("a", ()), {"set": {1}, "tuple": (THEN, None)}]}
    await assert_kept(storage, {"a": {"b": {"c": [inner, inner]}}})


async def test_checkpoint_storage_roundtrip_messages_with_complex_data(storage: Storage) -> None:
    messages = {
        "one": [
            WorkflowMessage(data={"at": THEN}, source_id="s", target_id="t"),
            WorkflowMessage(data=(1, 2, 3), source_id="s2", target_id=None),
        ],
        "two": [WorkflowMessage(data="text", source_id="s3", target_id="t3")],
    }
    assert (await again(storage, messages=messages)).messages == messages


async def test_checkpoint_storage_roundtrip_pending_request_info_events(storage: Storage) -> None:
    event: WorkflowEvent[Any] = WorkflowEvent.request_info(
        request_id="r",
        source_executor_id="e",
        request_data=Approval("buy", (1,)),
        response_type=bool,
    )
    found = await again(storage, pending_request_info_events={"r": event})
    [loaded] = found.pending_request_info_events.values()
    assert isinstance(loaded, WorkflowEvent)
    assert (loaded.type, loaded.request_id, loaded.data) == ("request_info", "r", event.data)
    assert loaded.response_type is bool


async def test_checkpoint_storage_roundtrip_full_checkpoint(storage: Storage) -> None:
    saved = checkpoint(
        "full",
        checkpoint_id="id/with.odd:characters",
        previous_checkpoint_id="before",
        timestamp=THEN.isoformat(),
        messages={"one": [WorkflowMessage(data=Approval("a", ()), source_id="s")]},
        state={"_executor_state": {"e": {"at": THEN}}, "text": "t"},
        iteration_count=10,
        metadata={"superstep": 5, "tags": ("a",)},
        version="1.0",
    )
    await storage.save(saved)
    assert await storage.load("id/with.odd:characters") == saved
    assert await of(storage, "full") == [saved]


async def test_checkpoint_storage_roundtrip_bytes(storage: Storage) -> None:
    await assert_kept(storage, {"bytes": b"\x00\xff", "array": bytearray(b"abc")})


async def test_checkpoint_storage_roundtrip_empty_collections(storage: Storage) -> None:
    await assert_kept(storage, {"d": {}, "l": [], "t": (), "s": set(), "n": {"d": {}, "l": []}})
