"""Whatever an export has, an import ends, reports what is wrong, and loses nothing of the rest."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import treadle
from tests.integrations.chat_exports.support import (
    FIRST,
    chat,
    chatgpt,
    claude,
    node,
    run,
    said,
    threads_of,
    written,
)
from treadle.core.codec import to_plain
from treadle.integrations.chat_exports import import_chatgpt, import_claude
from treadle.integrations.chat_exports._trees import Tree

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
JSON: st.SearchStrategy[Any] = (
    LEAVES
    | st.lists(LEAVES, max_size=3)
    | st.dictionaries(st.text(max_size=3), LEAVES | st.lists(LEAVES, max_size=1), max_size=3)
)
SHAPES = ["human", "assistant", "all", "text", "thinking", "tool_use", "tool_result"]
NODE_NAMES = ["root", "a", "b", "c", "../x", "", "a" * 300]
NAMES = st.sampled_from(NODE_NAMES)
STRUCTURE = {json.dumps(name) for name in (*NODE_NAMES, *SHAPES)}
"""What becomes the form of a thread, and not a value in it."""
ROLES = st.sampled_from(["user", "assistant", "tool", "system"])
KINDS = ["text", "multimodal_text", "code", "execution_output", "thoughts", "tether_quote", "new"]
FIELDS = st.sampled_from(["parts", "text", "thoughts", "result", "type", "content"])


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is usual, and anything else now and then."""
    return st.integers(0, 9).flatmap(lambda number: usual if number else JSON)


CONTENTS = st.dictionaries(FIELDS, JSON, max_size=3).flatmap(
    lambda fields: mostly(
        st.sampled_from(KINDS).map(lambda kind: fields | {"content_type": kind})
        | st.lists(JSON, max_size=3).map(lambda parts: {"content_type": "text", "parts": parts})
    )
)
MESSAGES = st.fixed_dictionaries(
    {"author": mostly(st.fixed_dictionaries({"role": mostly(ROLES)}, optional={"name": JSON}))},
    optional={
        "content": CONTENTS,
        "recipient": st.sampled_from(["all", "python", 5]),
        "metadata": JSON,
        "create_time": JSON,
    },
)
NODES = st.fixed_dictionaries(
    {"message": mostly(st.none() | MESSAGES)},
    optional={"parent": mostly(NAMES | st.none()), "children": mostly(st.lists(NAMES, max_size=3))},
)
CHATGPT = st.fixed_dictionaries(
    {
        "conversation_id": st.just("chat-1"),
        "mapping": mostly(st.dictionaries(NAMES, mostly(NODES))),
    },
    optional={"title": JSON, "create_time": JSON, "update_time": JSON, "current_node": NAMES},
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "new"])},
    optional={
        "text": mostly(st.text(max_size=5)),
        "thinking": mostly(st.text(max_size=5)),
        "name": mostly(st.sampled_from(["search", "repl"])),
        "id": JSON,
        "tool_use_id": JSON,
        "input": JSON,
        "content": JSON,
        "is_error": JSON,
    },
)
CHATS = st.fixed_dictionaries(
    {
        "uuid": mostly(st.sampled_from(["a", "b", "c", "a-1"])),
        "sender": mostly(st.sampled_from(["human", "assistant"])),
    },
    optional={
        "parent_message_uuid": mostly(NAMES),
        "content": mostly(st.lists(mostly(BLOCKS), max_size=4)),
        "text": JSON,
        "attachments": JSON,
        "files": JSON,
        "created_at": JSON,
    },
)
CLAUDE = st.fixed_dictionaries(
    {"uuid": st.just("chat-1"), "chat_messages": mostly(st.lists(mostly(CHATS), max_size=4))},
    optional={"name": JSON, "created_at": JSON, "current_leaf_message_uuid": NAMES},
)


def leaves(value: Any) -> Iterator[Any]:
    """Yield the texts and numbers in a JSON value."""
    match value:
        case dict():
            for item in value.values():
                yield from leaves(item)
        case list() | tuple():
            for item in value:
                yield from leaves(item)
        case str() | int() | float():
            yield value
        case _:
            pass


async def check(importer: Any, conversation: Any, sound: Any) -> None:
    """Import a conversation of any shape before a sound one, twice."""
    with tempfile.TemporaryDirectory() as folder:
        source = written(Path(folder) / "conversations.json", [sound, conversation, sound])
        async with treadle.open_store("memory:") as store:
            first = await run(importer, store, source)
            assert [first[0].kind, first[2].kind] == ["created", "unchanged"]
            before = await threads_of(store)
            again = await run(importer, store, source)
            assert await threads_of(store) == before
    assert [each.items for each in again] == [0, 0, 0]
    assert again[1].kind == ("failed" if first[1].kind == "failed" else "unchanged")
    if first[1].kind == "failed":
        assert first[1].reason
        assert not first[1].reason.startswith(("KeyError", "TypeError", "AttributeError"))
    else:
        kept = {json.dumps(leaf) for leaf in leaves([_plain(each) for each in before.values()])}
        lost = {json.dumps(leaf) for leaf in leaves(conversation)} - kept - STRUCTURE
        assert not lost


def _plain(thread: treadle.Thread) -> Any:
    return to_plain(thread)


SLOW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOUND_CHATGPT = chatgpt(node("m1", "root", "user", said("hi")), conversation_id="sound")
SOUND_CLAUDE = claude(chat("m1", FIRST, "human", "hi"), uuid="sound")


@SLOW
@given(CHATGPT)
async def test_conversations_of_chatgpt_of_any_shape(conversation: Any) -> None:
    await check(import_chatgpt, conversation, SOUND_CHATGPT)


@SLOW
@given(CLAUDE)
async def test_conversations_of_claude_of_any_shape(conversation: Any) -> None:
    await check(import_claude, conversation, SOUND_CLAUDE)


@given(st.dictionaries(st.integers(0, 9), st.none() | st.integers(0, 9), min_size=1), st.data())
def test_the_branches_of_a_tree_have_each_message_and_end_where_it_ends(
    drawn: dict[int, int | None], data: st.DataObject
) -> None:
    parents = {str(one): None if other is None else str(other) for one, other in drawn.items()}
    try:
        tree = Tree(parents)
    except treadle.InvalidValue:
        assert _has_a_circle(parents)
        return
    current = data.draw(st.sampled_from(sorted(parents)))
    paths = [tree.path(branch.last) for branch in tree.branches(current)]
    assert current in paths[0]
    assert {name for path in paths for name in path} == set(parents)
    ends = [path[-1] for path in paths]
    assert sorted(ends) == sorted(parents.keys() - set(parents.values()))


def _has_a_circle(parents: dict[str, str | None]) -> bool:
    for start in parents:
        seen: set[str] = set()
        name: str | None = start
        while name in parents:
            if name in seen:
                return True
            seen.add(name)
            name = parents[name]
    return False


CIRCLE = chatgpt(node("a", "b", "user", said("x")), node("b", "a", "user", said("y")))
DEEP: dict[str, Any] = chatgpt(node("a", "root", "user", said("x"), metadata={"deep": "DEEP"}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps(CIRCLE), "its own ancestor"),
        (json.dumps(DEEP).replace('"DEEP"', "[" * 5_000 + "]" * 5_000), "nested deeper"),
        (json.dumps(DEEP).replace('"DEEP"', "1" * 5_000), "does not fit 64 bits"),
        (json.dumps(DEEP).replace("DEEP", "\\ud800"), "surrogate"),
        ('{"conversation_id": "a", "mapping": {1: {}}}', "it is not JSON"),
        ('{"conversation_id": "a", "mapping": {"a": {"parent": {}}}}', "mapping.a.parent"),
        ('{"conversation_id": ["a"], "mapping": {}}', "conversation_id: it must be a string"),
    ],
)
async def test_what_cannot_be_read_has_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    source = tmp_path / "conversations.json"
    source.write_text(f"[{json.dumps(SOUND_CHATGPT)}, {text}]")
    async with treadle.open_store("memory:") as store:
        sound, broken = await run(import_chatgpt, store, source)
    assert (sound.kind, broken.kind) == ("created", "failed")
    assert reason in str(broken.reason)


async def test_a_message_whose_parent_is_missing_begins_a_branch(tmp_path: Path) -> None:
    conversation = chatgpt(
        node("a", "gone", "user", said("x")), node("b", "root", "user", said("y"))
    )
    source = written(tmp_path / "conversations.json", [conversation])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_chatgpt, store, source)
        threads = await threads_of(store)
    assert imported.branches == 1
    assert {name: [m.content for m in thread.messages] for name, thread in threads.items()} == {
        "chat-1": ["y"],
        "chat-1.a": ["x"],
    }


async def test_two_messages_of_one_id_are_refused(tmp_path: Path) -> None:
    conversation = claude(chat("a", FIRST, "human", "x"), chat("a", FIRST, "human", "y"))
    source = written(tmp_path / "conversations.json", [conversation])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_claude, store, source)
    assert "another message has it" in str(imported.reason)
