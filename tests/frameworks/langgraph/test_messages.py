"""Lists of messages: only what is new is serialized, and each change is found all the same."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph

from tests.frameworks.langgraph.graphs import put, thread, values_of
from tests.frameworks.langgraph.test_lists import pieces
from treadle import Store
from treadle.integrations.langgraph import TreadleSaver
from treadle.integrations.langgraph._packing import join, pack

CALL = {"name": "search", "args": {"words": ["a", 1, 2.0, None]}, "id": "c1", "type": "tool_call"}


def conversation() -> list[AnyMessage]:
    """Return messages of all kinds, with all that they may have."""
    return [
        SystemMessage("Be brief.", id="1"),
        HumanMessage([{"type": "text", "text": "Hi"}, "there"], id="2", name="ada"),
        AIMessage(
            "",
            id="3",
            tool_calls=[CALL],
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
            response_metadata={"model": "m", "logprobs": [0.5, -0.0]},
            additional_kwargs={"own": {"a": True}},
        ),
        ToolMessage("found", id="4", tool_call_id="c1", artifact={"price": 1}),
        ToolMessage("not found", id="5", tool_call_id="c2", artifact=[1, 2], status="error"),
        AIMessageChunk(content="so", id="6", tool_call_chunks=[]),
        FunctionMessage(id="7", name="f", content="done"),
        ChatMessage(id="8", role="poet", content="rhyme"),
        HumanMessage("more", id="9", a_field_of_ours=[1]),
    ]


def with_objects() -> list[AnyMessage]:
    """Return messages one of which has a value that only the serializer can write."""
    price = {"price": Decimal("1.50")}
    return [*conversation(), ToolMessage("priced", id="10", tool_call_id="c3", artifact=price)]


MakeMessages = Callable[[], list[AnyMessage]]
both = pytest.mark.parametrize("make", [conversation, with_objects])


def test_messages_without_objects_are_packed() -> None:
    assert pack(as_read(conversation())) is not None
    assert pack(as_read(with_objects())) is None


@pytest.mark.parametrize("counts", [(1,), (7, 8), (8, 8), (16, 1), (1, 16, 300), (65_535, 1)])
def test_packed_lists_are_joined_as_if_they_had_been_packed_together(
    counts: tuple[int, ...],
) -> None:
    parts = [[number] * count for number, count in enumerate(counts)]
    together = [item for part in parts for item in part]
    assert join([ormsgpack.packb(part) for part in parts]) == ormsgpack.packb(together)
    assert join([join([ormsgpack.packb(part)]) for part in parts]) == ormsgpack.packb(together)


class Counting(JsonPlusSerializer):
    """Counts the bytes that it makes, and those that it reads."""

    written = read = 0

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, data = super().dumps_typed(obj)
        self.written += len(data)
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.read += len(data[1])
        return super().loads_typed(data)


def as_read(messages: list[Any]) -> list[Any]:
    """Return what the serializer makes of the messages, in a checkpoint that nobody keeps."""
    serde = JsonPlusSerializer()
    read: list[Any] = serde.loads_typed(serde.dumps_typed(messages))
    return read


def states(messages: list[Any]) -> list[Any]:
    return [(type(each), each.__getstate__()) for each in messages]


@both
async def test_messages_of_all_kinds_come_back_as_from_the_serializer(
    store: Store, make: MakeMessages
) -> None:
    saver = TreadleSaver(store)
    config = await put(saver, thread(), {"a": make()})
    for reader in (TreadleSaver(store), saver, saver, saver):
        found = (await values_of(reader, config))["a"]
        assert states(found) == states(as_read(make()))


@both
async def test_what_a_reader_changes_is_not_what_others_read(
    store: Store, make: MakeMessages
) -> None:
    saver = TreadleSaver(store)
    config = await put(saver, thread(), {"a": make()})
    for _ in range(3):
        [_, human, ai, *_] = (await values_of(saver, config))["a"]
        human.content[0]["text"] = "changed"
        ai.tool_calls[0]["args"]["words"].append("changed")
        ai.additional_kwargs.clear()
    assert (await values_of(saver, config))["a"] == as_read(make())


def change_content(messages: list[Any]) -> None:
    messages[1].content[0]["text"] = "Ho"


def change_arguments(messages: list[Any]) -> None:
    messages[2].tool_calls[0]["args"]["words"][1] = True


def change_type_of_number(messages: list[Any]) -> None:
    messages[2].additional_kwargs["own"]["a"] = 1


def change_artifact(messages: list[Any]) -> None:
    messages[3].artifact["price"] = 1.0


def change_kind(messages: list[Any]) -> None:
    messages[0] = HumanMessage("Be brief.", id="1")


def change_further_field(messages: list[Any]) -> None:
    messages[8].a_field_of_ours.append(2)


@pytest.mark.parametrize(
    "change",
    [
        change_content,
        change_arguments,
        change_type_of_number,
        change_artifact,
        change_kind,
        change_further_field,
    ],
)
@pytest.mark.parametrize("is_read_before", [True, False])
@both
async def test_a_message_that_was_changed_in_place_is_stored(
    store: Store, change: Any, is_read_before: bool, make: MakeMessages
) -> None:
    saver = TreadleSaver(store)
    messages = make()
    first = await put(saver, thread(), {"a": messages})
    if is_read_before:
        messages = (await values_of(saver, first))["a"]
    change(messages)
    second = await put(saver, first, {"a": messages})
    wanted = make()
    change(wanted)
    for reader in (saver, TreadleSaver(store)):
        assert states((await values_of(reader, first))["a"]) == states(as_read(make()))
        assert states((await values_of(reader, second))["a"]) == states(as_read(wanted))


async def test_a_conversation_that_loses_its_last_turn_takes_no_room(store: Store) -> None:
    saver = TreadleSaver(store)
    config = thread()
    said: list[AnyMessage] = []
    for number in range(12):
        said += [HumanMessage(f"question {number}"), AIMessage(f"answer {number}")]
        config = await put(saver, config, {"a": said})
    known = saver._known.get("langgraph.t", "")  # pyright: ignore[reportPrivateUsage]
    assert known is not None
    assert len(known.lists["a"].runs) <= 6
    before = len(await pieces(store))
    said = said[:-2]
    config = await put(saver, config, {"a": said})
    assert len(await pieces(store)) == before
    for reader in (saver, TreadleSaver(store)):
        assert (await values_of(reader, config))["a"] == as_read(said)


async def test_a_late_turn_serializes_no_more_than_an_early_one(store: Store) -> None:
    serde = Counting()
    saver = TreadleSaver(store, serde=serde)

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("y" * 500), ToolMessage("z", tool_call_id="c")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    graph = builder.compile(checkpointer=saver)
    taken: list[tuple[int, int]] = []
    for _ in range(60):
        before = serde.written, serde.read
        await graph.ainvoke({"messages": [HumanMessage("x" * 500)]}, thread())
        taken.append((serde.written - before[0], serde.read - before[1]))
    early, late = taken[5:15], taken[-10:]
    for kind in (0, 1):
        assert max(turn[kind] for turn in late) < 1.2 * max(turn[kind] for turn in early)
    assert sum(document.value["items"] for document in await pieces(store)) == 180
