"""Exports are imported whole, once, and again when they are newer."""

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.integrations.chat_exports.support import (
    FIRST,
    chat,
    chatgpt,
    claude,
    contents,
    node,
    run,
    said,
    threads_of,
    written,
    zipped,
)
from treadle import InvalidValue
from treadle.integrations.chat_exports import _sources, _writing, import_chatgpt, import_claude

SIMPLE = (node("m1", "root", "user", said("hi")), node("m2", "m1", "assistant", said("ho")))


def named(name: str) -> dict[str, Any]:
    return chatgpt(*SIMPLE, conversation_id=name)


async def test_an_archive_is_read_with_all_its_files(tmp_path: Path) -> None:
    """A large export has its conversations in several files."""
    source = zipped(
        tmp_path / "export.zip",
        {
            "chat.html": b"<html>",
            "export/conversations-001.json": [named("c")],
            "export/conversations-000.json": [named("a"), named("b")],
            "export/shared_conversations.json": [{"id": "x"}],
            "__MACOSX/export/conversations-000.json": b"\0",
        },
    )
    async with treadle.open_store("memory:") as store:
        found = await run(import_chatgpt, store, source)
        assert set(await threads_of(store)) == {"a", "b", "c"}
    assert [each.name for each in found] == [
        "export/conversations-000.json[0] a",
        "export/conversations-000.json[1] b",
        "export/conversations-001.json[0] c",
    ]
    assert [(each.kind, each.items, each.done, each.total) for each in found] == [
        ("created", 2, number, None) for number in (1, 2, 3)
    ]


async def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    nodes = (*SIMPLE, node("m3", "m1", "assistant", said("other")))
    first = written(tmp_path / "a.json", [chatgpt(*nodes)])
    second = written(tmp_path / "b.json", [claude(chat("m1", FIRST, "human", "hi"), uuid="chat-2")])
    async with treadle.open_store("memory:") as store:
        for importer, source in ((import_chatgpt, first), (import_claude, second)):
            await run(importer, store, source)
            before = await threads_of(store)
            [again] = await run(importer, store, source)
            assert (again.kind, again.items) == ("unchanged", 0)
            assert await threads_of(store) == before


async def test_other_branches_are_threads_below_the_current_one(tmp_path: Path) -> None:
    conversation = chatgpt(
        node("q", "root", "user", said("question")),
        node("old", "q", "assistant", said("old answer")),
        node("thanks", "old", "user", said("thanks")),
        node("why", "old", "user", said("why?")),
        node("new", "q", "assistant", said("new answer")),
    )
    source = written(tmp_path / "conversations.json", [conversation])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_chatgpt, store, source)
        threads = await threads_of(store)
    assert (imported.branches, imported.items) == (2, 8)
    assert {thread_id: contents(thread) for thread_id, thread in threads.items()} == {
        "chat-1": ["question", "new answer"],
        "chat-1.old": ["question", "old answer", "thanks"],
        "chat-1.why": ["question", "old answer", "why?"],
    }
    below = threads["chat-1.why"]
    assert (below.parent_thread_id, below.metadata.extra["title"]) == ("chat-1", "A chat")
    assert below.metadata.extra["chatgpt_export"]["branch"] == "why"


async def test_a_newer_export_adds_what_is_new(tmp_path: Path) -> None:
    source = tmp_path / "conversations.json"
    more = node("m3", "m2", "user", said("more"))
    async with treadle.open_store("memory:") as store:
        await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE)]))
        newer = chatgpt(*SIMPLE, more, title="Renamed", update_time=1700000099.0)
        other = named("another")
        found = await run(import_chatgpt, store, written(source, [newer, other]))
        assert [(each.kind, each.items) for each in found] == [("extended", 1), ("created", 2)]
        thread = (await threads_of(store))["chat-1"]
        assert contents(thread) == ["hi", "ho", "more"]
        assert thread.metadata.extra["title"] == "Renamed"
        assert thread.metadata.extra["chatgpt_export"]["update_time"] == 1700000099.0

        older = chatgpt(SIMPLE[0], node("m4", "m1", "assistant", said("other")))
        [again] = await run(import_chatgpt, store, written(source, [older]))
        assert again.kind == "unchanged"
        assert (await threads_of(store))["chat-1"] == thread


async def test_the_thread_follows_to_another_branch_and_the_old_one_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "conversations.json"
    regenerated = node("m3", "m1", "assistant", said("better"))
    async with treadle.open_store("memory:") as store:
        await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE)]))
        await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE, regenerated)]))
        threads = await threads_of(store)
    assert contents(threads["chat-1"]) == ["hi", "better"]
    assert contents(threads["chat-1.m2"]) == ["hi", "ho"]


async def test_an_answer_that_was_not_complete_is_replaced(tmp_path: Path) -> None:
    source = tmp_path / "conversations.json"
    async with treadle.open_store("memory:") as store:
        await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE)]))
        complete = chatgpt(SIMPLE[0], node("m2", "m1", "assistant", said("ho ho ho")))
        [imported] = await run(import_chatgpt, store, written(source, [complete]))
        assert (imported.kind, imported.items) == ("extended", 1)
        assert contents((await threads_of(store))["chat-1"]) == ["hi", "ho ho ho"]


async def test_what_went_on_in_the_store_is_not_touched(tmp_path: Path) -> None:
    source = written(tmp_path / "conversations.json", [chatgpt(*SIMPLE)])
    more = node("m3", "m2", "user", said("more"))
    async with treadle.open_store("memory:") as store:
        await run(import_chatgpt, store, source)
        await store.threads.append("chat-1", treadle.Message.user("here"))
        [again] = await run(import_chatgpt, store, source)
        assert again.kind == "unchanged"
        [both] = await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE, more)]))
        assert both.kind == "failed"
        assert "went on in the store" in str(both.reason)
        assert contents((await threads_of(store))["chat-1"]) == ["hi", "ho", "here"]


async def test_a_thread_that_is_another_conversation_is_not_touched(tmp_path: Path) -> None:
    source = written(tmp_path / "conversations.json", [chatgpt(*SIMPLE)])
    async with treadle.open_store("memory:") as store:
        mine = treadle.Thread(id="chat-1", messages=(treadle.Message.user("mine"),))
        await store.threads.create(mine)
        [imported] = await run(import_chatgpt, store, source)
        assert imported.kind == "failed"
        assert contents((await threads_of(store))["chat-1"]) == ["mine"]


async def test_a_broken_conversation_is_named_and_harms_only_itself(tmp_path: Path) -> None:
    broken: list[Any] = [
        named("a"),
        {"conversation_id": "b", "mapping": []},
        None,
        chatgpt(node("m1", "root", "narrator", said("x")), conversation_id="c"),
        chatgpt(*SIMPLE, conversation_id="../d"),
        {"mapping": {}},
        named("e"),
    ]
    data = (
        json.dumps(broken)[:-1]
        + ', {"conversation_id": NaN}, {"id": "f"]}, '
        + json.dumps(named("g"))
        + "]"
    )
    source = tmp_path / "conversations.json"
    source.write_text(data)
    async with treadle.open_store("memory:") as store:
        found = await run(import_chatgpt, store, source)
        assert set(await threads_of(store)) >= {"a", "e"}
    assert [each.name for each in found if each.kind == "failed"][:6] == [
        "conversations.json[1] b",
        "conversations.json[2]",
        "conversations.json[3] c",
        "conversations.json[4] ../d",
        "conversations.json[5]",
        "conversations.json[7]",
    ]
    reasons = [each.reason or "" for each in found]
    assert "mapping: it must be an object, not a list" in reasons[1]
    assert "must be an object, not null" in reasons[2]
    assert "mapping.m1.message.author.role" in reasons[3]
    assert "the conversation has none" in reasons[5]


async def test_the_export_of_the_other_program_is_refused(tmp_path: Path) -> None:
    first = written(tmp_path / "a.json", [chatgpt(*SIMPLE)])
    second = written(tmp_path / "b.json", [claude(chat("m1", FIRST, "human", "hi"))])
    async with treadle.open_store("memory:") as store:
        with pytest.raises(InvalidValue, match="an export of ChatGPT"):
            await run(import_claude, store, first)
        with pytest.raises(InvalidValue, match="an export of Claude"):
            await run(import_chatgpt, store, second)
        assert not await threads_of(store)


async def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    other = zipped(tmp_path / "other.zip", {"a.txt": b"hello"})
    text = tmp_path / "text.json"
    text.write_text("hello")
    async with treadle.open_store("memory:") as store:
        for source in (other, text, tmp_path, tmp_path / "missing.zip"):
            with pytest.raises(InvalidValue):
                await run(import_chatgpt, store, source)


async def test_an_archive_that_says_it_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sources, "EXPORT_BYTES", 1_000)
    bomb = zipped(tmp_path / "bomb.zip", {"conversations.json": b"[" + b" " * 5_000_000 + b"]"})
    assert bomb.stat().st_size < 10_000
    async with treadle.open_store("memory:") as store:
        with pytest.raises(InvalidValue, match="5,000,002 bytes"):
            await run(import_chatgpt, store, bomb)


async def test_an_unusual_compression_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "export.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("conversations.json", "[]")
    async with treadle.open_store("memory:") as store:
        with pytest.raises(InvalidValue, match="unusual way"):
            await run(import_chatgpt, store, source)


async def test_a_damaged_archive_gives_what_is_whole(tmp_path: Path) -> None:
    source = tmp_path / "export.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("conversations.json", json.dumps([named("a"), named("b")]))
    data = source.read_bytes()
    source.write_bytes(data.replace(b'"A chat"', b'"B chat"'))
    async with treadle.open_store("memory:") as store:
        *_, last = await run(import_chatgpt, store, source)
        assert last.kind == "failed"
        assert "damaged" in str(last.reason)


async def test_a_conversation_that_is_too_large_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sources, "CONVERSATION_BYTES", 5_000)
    large = chatgpt(node("m1", "root", "user", said("x" * 5_000)), conversation_id="large")
    source = written(tmp_path / "conversations.json", [named("a"), large, named("b")])
    async with treadle.open_store("memory:") as store:
        found = await run(import_chatgpt, store, source)
        assert set(await threads_of(store)) == {"a", "b"}
    assert [each.kind for each in found] == ["created", "failed", "created"]
    assert "5,000 are read at most" in str(found[1].reason)


async def test_branches_that_take_too_much_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each branch repeats what comes before it: a small export could fill a disk."""
    monkeypatch.setattr(_writing, "BRANCHES_BYTES", 100_000)
    nodes = [node("m0", "root", "user", said("x" * 20_000))]
    nodes += [node(f"m{number}", "m0", "assistant", said("y")) for number in range(1, 50)]
    source = written(tmp_path / "conversations.json", [chatgpt(*nodes)])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_chatgpt, store, source)
        threads = await threads_of(store)
    assert (imported.kind, imported.branches) == ("failed", 4)
    assert "44 branches are left out" in str(imported.reason)
    assert len(threads) == 5
    assert contents(threads["chat-1"])[1] == "y"


async def test_a_message_of_a_branch_that_is_left_out_stays_in_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writing, "BRANCHES_BYTES", 0)
    source = tmp_path / "conversations.json"
    regenerated = node("m3", "m1", "assistant", said("better"))
    async with treadle.open_store("memory:") as store:
        await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE)]))
        [again] = await run(import_chatgpt, store, written(source, [chatgpt(*SIMPLE, regenerated)]))
        assert again.kind == "failed"
        assert contents((await threads_of(store))["chat-1"]) == ["hi", "ho"]


async def test_a_long_conversation_with_many_branches_is_read_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 messages below each other, half of them with a second answer."""
    monkeypatch.setattr(_writing, "BRANCHES_BYTES", 1_000_000)
    nodes: dict[str, Any] = {
        "root": {"id": "root", "message": None, "parent": None, "children": []}
    }
    for number in range(20_000):
        parent = f"m{number - 1}" if number else "root"
        nodes[f"m{number}"] = node(f"m{number}", parent, "user", said("x"))
        if number % 2:
            nodes[f"n{number}"] = node(f"n{number}", parent, "assistant", said("y"))
    exported = chatgpt(current_node="m19999") | {"mapping": nodes}
    source = written(tmp_path / "conversations.json", [exported])
    async with treadle.open_store("memory:") as store:
        [imported] = await run(import_chatgpt, store, source)
        assert await store.threads.message_count("chat-1") == 20_000
    assert "branches are left out" in str(imported.reason)


async def test_memory_does_not_grow_with_the_export(tmp_path: Path) -> None:
    one = json.dumps(chatgpt(node("m1", "root", "user", said("x" * 100_000))))
    source = tmp_path / "conversations.json"
    source.write_text("[" + ",".join([one] * 300) + "]")
    async with treadle.open_store("memory:") as store:
        tracemalloc.start()
        try:
            found = await run(import_chatgpt, store, source)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(found) == 300
    assert source.stat().st_size > 30_000_000
    assert peak < 10_000_000
