import pytest
from agents import Agent, Runner
from agents.testing import ScriptedModel

from tests.frameworks.openai_agents.items import Item, text
from tests.marks import every_backend
from treadle import ClaimConflict, Message, Store, Thread, ToolCall, VersionConflict
from treadle.integrations.openai_agents import TreadleSession
from treadle.worker import Delivery, Worker


def said(*texts: str) -> list[Item]:
    return [{"role": "user", "content": each} for each in texts]


@every_backend
async def test_items_commit_with_the_batch(store: Store, session: TreadleSession) -> None:
    await session.add_items(said("a"))
    async with store.batch() as step:
        pending = TreadleSession("chat", store, step=step)
        await pending.add_items(said("b", "c"))
        assert await pending.pop_item() == said("c")[0]
        assert await pending.get_items() == said("a", "b")
        assert await pending.get_items(limit=1) == said("b")
        assert await session.get_items() == said("a")
        await session.add_items(said("meanwhile"))
    assert await session.get_items() == said("a", "meanwhile", "b")


async def test_nothing_is_written_if_the_batch_fails(store: Store, session: TreadleSession) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.batch() as step:
            await TreadleSession("chat", store, step=step).add_items(said("a"))
            raise ZeroDivisionError
    assert await session.get_items() == []


@every_backend
async def test_a_batch_takes_back_what_was_there_before(
    store: Store, session: TreadleSession
) -> None:
    await session.add_items(said("a", "b", "c"))
    async with store.batch() as step:
        pending = TreadleSession("chat", store, step=step)
        await pending.add_items(said("d"))
        taken = [await pending.pop_item() for _ in range(3)]
        await pending.add_items(said("e"))
        assert await pending.get_items() == said("a", "e")
    assert taken == said("d", "c", "b")
    assert await session.get_items() == said("a", "e")


@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("takes_back", [True, False])
@every_backend
async def test_a_history_that_is_written_again_keeps_its_owner_and_title(
    store: Store, in_batch: bool, takes_back: bool
) -> None:
    """As compaction does where it has no hook."""
    await store.threads.create(Thread(id="chat", resource_id="anna"))
    await store.threads.update("chat", metadata={"title": "A trip"})
    await TreadleSession("chat", store).add_items(said("a"))
    async with store.batch() as step:
        session = TreadleSession("chat", store, step=step if in_batch else None)
        assert await session.get_items() == said("a")
        if takes_back:
            assert await session.pop_item() == said("a")[0]
        await session.clear_session()
        await session.add_items(said("summary"))
    head = await store.threads.summary("chat")
    assert head is not None
    assert (head.resource_id, head.metadata.extra) == ("anna", {"title": "A trip"})
    assert await TreadleSession("chat", store).get_items() == said("summary")


@pytest.mark.parametrize("reads", [True, False])
@every_backend
async def test_a_batch_does_not_clear_what_others_say(store: Store, reads: bool) -> None:
    session = TreadleSession("chat", store)
    await session.add_items(said("a"))
    with pytest.raises(VersionConflict):
        async with store.batch() as step:
            pending = TreadleSession("chat", store, step=step)
            await pending.add_items(said("b"))
            if reads:
                await pending.get_items()
                await session.add_items(said("meanwhile"))
            await pending.clear_session()
            await pending.add_items(said("summary"))
            if not reads:
                await session.add_items(said("meanwhile"))
    assert await session.get_items() == said("a", "meanwhile")


async def test_a_batch_clears_again_and_again(store: Store) -> None:
    for _ in range(2):
        async with store.batch() as step:
            pending = TreadleSession("chat", store, step=step)
            for text in "abc":
                await pending.clear_session()
                assert await pending.get_items() == []
                assert await pending.pop_item() is None
                await pending.add_items(said(text))
        assert await TreadleSession("chat", store).get_items() == said("c")


async def test_a_batch_does_not_take_back_what_others_say(
    store: Store, session: TreadleSession
) -> None:
    await session.add_items(said("a"))
    with pytest.raises(VersionConflict):
        async with store.batch() as step:
            await TreadleSession("chat", store, step=step).pop_item()
            await session.add_items(said("b"))
    assert await session.get_items() == said("a", "b")


async def test_a_batch_splits_a_message_of_several_items(
    store: Store, session: TreadleSession
) -> None:
    call = ToolCall(id="c", name="f", arguments={})
    await store.threads.create(Thread(id="chat", messages=(Message.assistant("c", [call]),)))
    async with store.batch() as step:
        pending = TreadleSession("chat", store, step=step)
        taken: list[Item] = [await pending.pop_item()]
        assert len(await pending.get_items()) == 1
        taken += [await pending.pop_item(), await pending.pop_item()]
        assert (taken[0]["name"], taken[1]["content"], taken[2]) == ("f", "c", None)
    assert await session.get_items() == []


@every_backend
async def test_a_batch_clears_and_begins_again(store: Store, session: TreadleSession) -> None:
    await session.add_items(said("a"))
    async with store.batch() as step:
        pending = TreadleSession("chat", store, step=step)
        await pending.add_items(said("b"))
        await pending.clear_session()
        assert await pending.get_items() == []
        assert await pending.pop_item() is None
        await pending.add_items(said("c"))
        assert await pending._get_compaction_snapshot(5) is None
    assert await session.get_items() == said("c")


async def test_a_run_commits_with_its_entry(store: Store, session: TreadleSession) -> None:
    agent = Agent(name="a", model=ScriptedModel([[text("one")], [text("two")]]))

    async def handle(delivery: Delivery) -> None:
        chat = delivery.entry.mailbox_id
        async with delivery.batch() as step:
            turn = TreadleSession(chat, delivery.store, step=step)
            await Runner.run(agent, delivery.entry.payload, session=turn)

    await store.mailboxes.send("chat", "first")
    await store.mailboxes.send("chat", "second")
    await Worker(store, handle).run(until_idle=True)
    page = await store.threads.list_messages("chat")
    roles = [each.message.role for each in page.messages]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert len(await session.get_items()) == 4


async def test_a_worker_that_lost_its_entry_writes_nothing(
    store: Store, session: TreadleSession
) -> None:
    agent = Agent(name="a", model=ScriptedModel([[text("late")]]))
    refused: list[BaseException] = []

    async def handle(delivery: Delivery) -> None:
        try:
            async with delivery.batch() as step:
                turn = TreadleSession("chat", delivery.store, step=step)
                await Runner.run(agent, "hello", session=turn)
                await delivery.store.mailboxes.interrupt("chat")
        except ClaimConflict as error:
            refused.append(error)
            raise

    await store.mailboxes.send("chat", "hello")
    await Worker(store, handle).run(until_idle=True)
    assert len(refused) == 1
    assert await session.get_items() == []
