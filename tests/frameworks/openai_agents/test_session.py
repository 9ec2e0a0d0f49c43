import asyncio
import inspect
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from agents import Agent, Runner, SessionSettings, TResponseInputItem
from agents.memory import OpenAIResponsesCompactionSession, Session
from agents.testing import ScriptedModel

from tests.frameworks.openai_agents.items import ITEMS, USER, Item, text
from tests.marks import every_backend
from treadle import InvalidValue, Message, Store, StoreClosed, Thread, ToolCall
from treadle.integrations.openai_agents import TreadleSession, read_item


def said(*texts: str) -> list[Item]:
    return [{"role": "user", "content": each} for each in texts]


def test_it_satisfies_the_protocol(session: TreadleSession) -> None:
    assert isinstance(session, Session)


@every_backend
async def test_items_come_back_in_their_order(session: TreadleSession) -> None:
    assert await session.get_items() == []
    await session.add_items(ITEMS[:3])
    await session.add_items(ITEMS[3:])
    assert await session.get_items() == ITEMS
    assert await session.get_items(limit=3) == ITEMS[-3:]
    assert await session.get_items(limit=0) == []
    assert await session.get_items(limit=1000) == ITEMS


async def test_the_settings_limit_what_is_read(store: Store) -> None:
    session = TreadleSession("chat", store, session_settings={"limit": 2})
    await session.add_items(said("a", "b", "c"))
    assert await session.get_items() == said("b", "c")
    assert await session.get_items(limit=1) == said("c")
    assert session.session_settings == SessionSettings(limit=2)


@every_backend
async def test_more_than_a_page_is_read(session: TreadleSession) -> None:
    items = said(*map(str, range(450)))
    await session.add_items(items)
    assert await session.get_items(limit=449) == items[1:]
    assert await session.get_items() == items


@every_backend
async def test_of_a_long_history_only_the_last_items_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = TreadleSession("chat", store)
    items = said(*map(str, range(1_000)))
    await session.add_items(items)
    monkeypatch.delattr(type(store.threads), "load")  # which would read all of it
    for limit in (1, 199, 200, 201, 400, 401, 999, 1_000, 1_001, 5_000):
        assert await session.get_items(limit=limit) == items[-limit:]


@pytest.mark.parametrize("changes", [1, 100])
async def test_a_history_that_changes_between_two_reads_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    session = TreadleSession("chat", store)
    items = said(*map(str, range(500)))
    await session.add_items(items)
    read: Any = store.read
    reads = 0

    async def read_and_change(*queries: Any) -> Any:
        nonlocal reads
        reads += 1
        answers = await read(*queries)
        if reads <= changes:
            items.append({"role": "user", "content": f"new {reads}"})
            await store.threads.append("chat", read_item(items[-1]))
        return answers

    monkeypatch.setattr(store, "read", read_and_change)
    found = await session.get_items(limit=450)
    if changes == 1:
        assert found == items[-450:]
    else:  # it ends, although others write all the time
        assert found == items[items.index(found[0]) :][:450]
        assert len(found) == 450


@every_backend
async def test_items_are_added_together_or_not_at_all(session: TreadleSession) -> None:
    with pytest.raises(InvalidValue):
        await session.add_items([*said("a"), "no object"])  # type: ignore[list-item]
    assert await session.get_items() == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("half of an emoji: \ud83d", "lone surrogate"), ({1, 2}, "set"), (2**70, "64 bits")],
)
async def test_what_an_item_cannot_have_is_said_to_be_wrong(
    session: TreadleSession, wrong: Any, reason: str
) -> None:
    item: Any = {"role": "user", "content": [{"type": "input_text", "text": wrong}]}
    with pytest.raises(InvalidValue, match=rf"item\.content\[0\]\.text.*{reason}"):
        await session.add_items([*said("a"), item])
    assert await session.get_items() == []


@every_backend
async def test_callers_that_take_the_last_item_get_different_ones(session: TreadleSession) -> None:
    await session.add_items(said("a", "b", "c"))
    taken: list[Any] = await asyncio.gather(*(session.pop_item() for _ in range(4)))
    assert sorted(each["content"] for each in taken if each) == ["a", "b", "c"]
    assert await session.pop_item() is None


@every_backend
async def test_a_cancelled_caller_waits_for_its_write(session: TreadleSession) -> None:
    adding = asyncio.create_task(session.add_items(said("a")))
    await asyncio.sleep(0)
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert await session.get_items() == said("a")


async def test_only_the_first_items_ask_for_the_thread(store: Store) -> None:
    session = TreadleSession("chat", store)
    commit: Any = store.commit
    commands: list[list[str]] = []

    async def observed(batch: Any, **options: Any) -> Any:
        commands.append([type(command).__name__ for command in batch])
        return await commit(batch, **options)

    store.commit = observed  # type: ignore[method-assign]
    await session.add_items(said("a"))
    await session.add_items(said("b"))
    other = TreadleSession("chat", store)
    await other.get_items()
    await other.add_items(said("c"))
    assert commands == [["EnsureThread", "AppendThread"], ["AppendThread"], ["AppendThread"]]


@every_backend
async def test_a_thread_that_others_have_deleted_begins_again(
    session: TreadleSession, store: Store
) -> None:
    await session.add_items(said("a"))
    await store.threads.delete("chat")
    await session.add_items(said("b"))
    await session.add_items(said("c"))
    assert await session.get_items() == said("b", "c")


@every_backend
async def test_a_cleared_session_is_empty_and_begins_again(
    session: TreadleSession, store: Store
) -> None:
    await session.clear_session()
    await session.add_items(said("a", "b"))
    await session.clear_session()
    assert await session.get_items() == []
    assert await store.threads.load("chat") is None
    await session.add_items(said("c"))
    assert await session.get_items() == said("c")


async def test_a_closed_store_refuses_even_no_items(session: TreadleSession, store: Store) -> None:
    await store.close()
    with pytest.raises(StoreClosed):
        await session.add_items([])


async def test_no_items_create_no_thread(session: TreadleSession, store: Store) -> None:
    await session.add_items([])
    assert await store.threads.summary("chat") is None


async def test_what_is_read_and_what_was_added_belong_to_the_caller(
    session: TreadleSession,
) -> None:
    part = {"type": "input_text", "text": "a"}
    item: Any = {"role": "user", "content": [part], "note": {"a": 1}}
    await session.add_items([item])
    part["text"] = item["note"]["a"] = "changed"
    found: list[Any] = await session.get_items()
    found[0]["content"][0]["text"] = found[0]["note"]["a"] = "changed"
    expected = [{"role": "user", "content": [{**part, "text": "a"}], "note": {"a": 1}}]
    assert await session.get_items() == expected


@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("reads", [True, False])
@every_backend
async def test_a_thread_without_an_owner_gets_that_of_the_session(
    store: Store, in_batch: bool, reads: bool
) -> None:
    await TreadleSession("chat", store).add_items(said("a"))
    async with store.batch() as step:
        pending = step if in_batch else None
        session = TreadleSession("chat", store, step=pending, resource_id="anna")
        if reads:
            assert await session.get_items() == said("a")
        await session.add_items(said("b"))
        await session.add_items(said("c"))
    head = await store.threads.summary("chat")
    assert head is not None
    assert (head.resource_id, head.message_count) == ("anna", 3)
    await store.erase("anna")
    assert await store.threads.summary("chat") is None


@pytest.mark.parametrize("in_batch", [True, False])
@every_backend
async def test_a_thread_of_another_owner_is_refused(store: Store, in_batch: bool) -> None:
    await TreadleSession("chat", store, resource_id="anna").add_items(said("a"))
    async with store.batch() as step:
        pending = step if in_batch else None
        session = TreadleSession("chat", store, step=pending, resource_id="ben")
        for call in (
            session.get_items,
            session.pop_item,
            session.clear_session,
            partial(session.add_items, said("b")),
        ):
            with pytest.raises(InvalidValue, match="the thread 'chat' has another owner"):
                await call()
    head = await store.threads.summary("chat")
    assert head is not None
    assert (head.resource_id, head.message_count) == ("anna", 1)


@pytest.mark.parametrize("in_batch", [True, False])
async def test_a_cleared_thread_without_an_owner_begins_again_with_one(
    store: Store, in_batch: bool
) -> None:
    await TreadleSession("chat", store).add_items(said("a"))
    async with store.batch() as step:
        pending = step if in_batch else None
        session = TreadleSession("chat", store, step=pending, resource_id="anna")
        await session.clear_session()
        await session.add_items(said("b"))
    head = await store.threads.summary("chat")
    assert head is not None
    assert (head.resource_id, head.message_count) == ("anna", 1)


async def test_messages_of_other_programs_are_items_and_can_be_taken_back(
    session: TreadleSession, store: Store
) -> None:
    call = ToolCall(id="c", name="f", arguments={})
    messages = (Message.user("a"), Message.internal_system("b"), Message.assistant("c", [call]))
    await store.threads.create(Thread(id="chat", messages=messages))
    said_c = {"role": "assistant", "content": "c"}
    called = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    before = [*said("a"), {"role": "system", "content": "b"}]
    assert await session.get_items() == [*before, said_c, called]
    assert await session.get_items(limit=1) == [called]
    assert await session.pop_item() == called
    assert await session.get_items() == [*before, said_c]
    assert await session.pop_item() == said_c
    assert await session.get_items() == before


@every_backend
async def test_a_run_continues_the_conversation(store: Store) -> None:
    model = ScriptedModel([[text("Hello Anna.")], [text("Anna.")]])
    agent = Agent(name="a", model=model)
    await Runner.run(agent, "I am Anna.", session=TreadleSession("chat", store))
    result = await Runner.run(agent, "Who am I?", session=TreadleSession("chat", store))
    assert result.final_output == "Anna."
    assert model.last_call is not None
    assert len(model.last_call.input) == 3
    page = await store.threads.list_messages("chat")
    assert [each.message.role for each in page.messages] == ["user", "assistant"] * 2


# --- compaction -----------------------------------------------------------------------------------


async def snapshot(session: TreadleSession, limit: int, **options: Any) -> Any:
    return await session._get_compaction_snapshot(limit, **options)


@every_backend
async def test_the_end_of_a_history_is_replaced_in_one_commit(session: TreadleSession) -> None:
    await session.add_items(said("a", "b", "c"))
    found = await snapshot(session, 2)
    assert (found.items, found.complete) == (said("b", "c"), False)
    assert (await snapshot(session, 3)).complete
    assert await found.replace_suffix(1, said("summary"))
    assert await session.get_items() == said("a", "b", "summary")
    assert not await found.replace_suffix(1, said("late"))
    assert await session.get_items() == said("a", "b", "summary")


async def test_the_end_of_a_history_that_others_have_changed_stays(session: TreadleSession) -> None:
    await session.add_items(said("a", "b"))
    found = await snapshot(session, 2, prune_prefix=lambda item: False)
    assert not await found.replace_suffix(2, [])
    await session.add_items(said("c"))
    assert not await found.replace_suffix(1, said("summary"))
    await session.clear_session()
    assert not await found.replace_suffix(1, said("summary"))
    assert await session.get_items() == []


async def test_expired_items_go_when_the_end_is_replaced(session: TreadleSession) -> None:
    await session.add_items(said("old 1", "old 2", "a", "old 3", "b"))
    found = await snapshot(session, 1, prune_prefix=lambda item: "old" in item["content"])
    assert await found.replace_suffix(0, said("summary"))
    assert await session.get_items() == said("a", "old 3", "summary")


async def test_a_replacement_does_not_cut_a_message_of_several_items(
    session: TreadleSession, store: Store
) -> None:
    call = ToolCall(id="c", name="f", arguments={})
    await store.threads.create(Thread(id="chat", messages=(Message.assistant("c", [call]),)))
    found = await snapshot(session, 1)
    assert not found.complete
    assert await found.replace_suffix(0, [USER])
    assert await session.get_items() == [{"role": "assistant", "content": "c"}, USER]


class Discreet(TreadleSession):
    async def add_items(self, items: list[TResponseInputItem]) -> None:
        hidden = [item for item in items if "secret" not in str(item)]
        await super().add_items(hidden)


def compacting(under: TreadleSession, output: str) -> OpenAIResponsesCompactionSession:
    class Responses:
        async def compact(self, **_: Any) -> Any:
            item = {"type": "message", "role": "assistant", "content": output}
            return SimpleNamespace(output=[item], usage=None)

    return OpenAIResponsesCompactionSession(
        "chat",
        under,
        client=cast("Any", SimpleNamespace(responses=Responses())),
        compaction_mode="input",
        should_trigger_compaction=lambda _: True,
    )


@pytest.mark.skipif(
    "_atomic_replace_items" not in inspect.getsource(OpenAIResponsesCompactionSession),
    reason="this SDK does not let a session replace its items",
)
@every_backend
async def test_a_compaction_that_is_asked_for_leaves_no_moment_without_a_history(
    session: TreadleSession, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await session.add_items(said("a", "b"))
    commit: Any = store.commit
    seen: list[list[TResponseInputItem]] = []

    async def commit_and_look(*values: Any, **options: Any) -> Any:
        receipt = await commit(*values, **options)
        seen.append(await session.get_items())
        return receipt

    monkeypatch.setattr(store, "commit", commit_and_look)
    await compacting(session, "summary").run_compaction({"force": True})
    [found] = seen  # a process that dies behind any other commit would leave it
    assert [item.get("content") for item in found] == ["summary"]


async def test_a_compaction_in_a_batch_commits_with_it(store: Store) -> None:
    await TreadleSession("chat", store).add_items(said("a", "b"))
    async with store.batch() as step:
        session = TreadleSession("chat", store, step=step)
        await compacting(session, "summary").run_compaction({"force": True})
        assert await TreadleSession("chat", store).get_items() == said("a", "b")
    [found] = await TreadleSession("chat", store).get_items()
    assert found.get("content") == "summary"


async def test_a_compaction_that_is_asked_for_goes_through_what_a_subclass_does_with_items(
    store: Store,
) -> None:
    under = Discreet("chat", store)
    await under.add_items(said("a", "b"))
    await compacting(under, "the secret").run_compaction({"force": True})
    assert "the secret" not in str(await under.get_items())


async def test_automatic_compaction_goes_through_what_a_subclass_does_with_items(
    store: Store,
) -> None:
    under = Discreet("chat", store)
    agent = Agent(name="agent", model=ScriptedModel([[text("answer")]]))
    await Runner.run(agent, "hello", session=compacting(under, "the secret"))
    assert "the secret" not in str(await under.get_items())
