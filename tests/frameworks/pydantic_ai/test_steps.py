"""What is saved in a batch commits with it."""

import pytest
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.models.test import TestModel

from tests.frameworks.pydantic_ai.messages import answered, conversation, texts
from tests.marks import every_backend
from treadle import Store, VersionConflict
from treadle.integrations.pydantic_ai import TreadleConversationStore
from treadle.worker import Backoff, Delivery, Worker

Ours = TreadleConversationStore


@every_backend
async def test_a_turn_and_the_end_of_its_entry_are_one_commit(store: Store) -> None:
    agent = Agent(TestModel(custom_output_text="I see."))
    attempts = 0

    async def answer(delivery: Delivery) -> None:
        nonlocal attempts
        attempts += 1
        async with delivery.batch() as step:
            conversations = TreadleConversationStore(delivery.store, step=step)
            found = await conversations.load("trip") or Conversation(conversation_id="trip")
            result = await agent.run(delivery.entry.payload, conversation=found)
            await conversations.save(result, scope="anna")
            if attempts == 1:
                raise ZeroDivisionError

    for text in ("I go to Bern.", "Book a hotel."):
        await store.mailboxes.send("trip", text)
        await Worker(store, answer, backoff=Backoff(base_ms=1)).run(until_idle=True)
    assert attempts == 3
    expected = ["I go to Bern.", "I see.", "Book a hotel.", "I see."]
    assert texts(await TreadleConversationStore(store).load("trip", scope="anna")) == expected


@every_backend
async def test_a_batch_that_others_were_faster_than_writes_nothing(
    conversations: Ours, store: Store
) -> None:
    await conversations.save(conversation("c", "a"))
    with pytest.raises(VersionConflict):
        async with store.batch() as step:
            pending = TreadleConversationStore(store, step=step)
            ours, theirs = await pending.load("c"), await conversations.load("c")
            assert ours is not None
            assert theirs is not None
            ours.messages.append(answered("ours"))
            await pending.save(ours)
            assert texts(await conversations.load("c")) == ["a"]
            theirs.messages.append(answered("theirs"))
            await conversations.save(theirs)
    assert texts(await conversations.load("c")) == ["a", "theirs"]
    assert await conversations.sweep() == 0


@every_backend
async def test_a_fork_goes_on_in_a_batch(conversations: Ours, store: Store) -> None:
    await conversations.save(conversation("c", "a", "b"))
    await conversations.fork("c", at=1, new_conversation_id="fork")
    async with store.batch() as step:
        pending = TreadleConversationStore(store, step=step)
        found = await pending.load("fork")
        assert found is not None
        found.messages.append(answered("c"))
        await pending.save(found)
    assert texts(await conversations.load("fork")) == ["a", "c"]
    assert texts(await conversations.load("c")) == ["a", "b"]


@every_backend
async def test_a_batch_deletes_a_conversation_when_it_commits(
    conversations: Ours, store: Store
) -> None:
    await conversations.save(conversation("c", "a"))
    async with store.batch() as step:
        await TreadleConversationStore(store, step=step).delete("c")
        assert texts(await conversations.load("c")) == ["a"]
    assert await conversations.load("c") is None
