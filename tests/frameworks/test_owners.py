"""Nobody's name makes a user the owner of what an adapter stores for all."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from agent_framework import WorkflowCheckpoint
from chatkit.types import ThreadMetadata
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelMessage, ModelRequest

from tests.frameworks.importing.runs import everything
from tests.frameworks.langgraph.graphs import put, thread
from tests.marks import every_backend
from treadle import Store, Thread, open_store
from treadle.integrations.agent_framework import TreadleCheckpointStorage
from treadle.integrations.chatkit import TreadleChatKitStore
from treadle.integrations.google_adk import TreadleSessionService
from treadle.integrations.langgraph import TreadleSaver, TreadleStore
from treadle.integrations.openai_agents import TreadleSession
from treadle.integrations.openai_agents._run_states import RUN_STATES
from treadle.integrations.pydantic_ai import TreadleConversationStore


async def checkpoints_of_langgraph(store: Store) -> None:
    saver = await TreadleSaver(store).aclaim_write_ownership("t")
    values = {"list": ["word"] * 10, "text": "word" * 100, "small": 1}
    config = await put(saver, thread(), values, run_id="r")
    await saver.aput_writes(config, [("small", 2)], "task")


async def items_of_langgraph(store: Store) -> None:
    await TreadleStore(store).aput(("users", "anna"), "city", {"name": "Oslo"})


async def conversations_of_pydantic_ai(store: Store) -> None:
    messages: list[ModelMessage] = [ModelRequest.user_text_prompt("hi")]
    conversation = Conversation(conversation_id="c", messages=messages)
    await TreadleConversationStore(store).save(conversation, scope="anna")


async def checkpoints_of_agent_framework(store: Store) -> None:
    checkpoint = WorkflowCheckpoint(
        workflow_name="report", graph_signature_hash="h", timestamp=datetime.now(UTC).isoformat()
    )
    await TreadleCheckpointStorage(store).save(checkpoint)


async def state_of_an_app(store: Store) -> None:
    service = TreadleSessionService(store)
    state = {"app:greeting": "hello"}
    await service.create_session(app_name="app", user_id="anna", session_id="s", state=state)
    await store.erase("anna")


FILLS = [
    checkpoints_of_langgraph,
    items_of_langgraph,
    conversations_of_pydantic_ai,
    checkpoints_of_agent_framework,
    state_of_an_app,
]


@every_backend
@pytest.mark.parametrize("fill", FILLS)
async def test_a_user_of_any_name_is_erased_without_what_belongs_to_all(
    store_url: str, fill: Callable[[Store], Awaitable[None]]
) -> None:
    async with open_store(store_url, migrate=True) as store:
        await fill(store)
        before: list[Any] = await everything(store)
        names = {key[0] for _, key, *_ in before} | {"t", "c", "i", "r", "state", "checkpoints"}
        for name in names:  # each as a user, and as a thread of a user
            await store.erase(name)
        for name in names - {""}:
            await store.threads.create(Thread(id=name, resource_id="ben"))
        await store.erase("ben")
        assert before
        assert await everything(store) == before
        assert {key[0] for _, key, *_ in before} == {""}


async def sessions_of_adk(store: Store) -> None:
    service = TreadleSessionService(store)
    for state in ({"user:city": "Oslo"}, {"city": "Oslo"}):
        await service.create_session(app_name="app", user_id="bob", state=state)
    [first, _] = (await service.list_sessions(app_name="app", user_id="bob")).sessions
    await service.delete_session(app_name="app", user_id="bob", session_id=first.id)


async def threads_of_chatkit(store: Store) -> None:
    chatkit: TreadleChatKitStore[str] = TreadleChatKitStore(store, owner=lambda user: user)
    now = datetime.now(UTC)
    await chatkit.save_thread(ThreadMetadata(id="t", created_at=now), "bob")


async def a_run_state_of_openai(store: Store) -> None:
    state = {"stands": "for a state"}
    await store.documents.put(RUN_STATES, ("bob", "refund"), state)


async def plain_documents(store: Store) -> None:
    await store.documents.put("memories", ("bob", "drinks"), "tea")
    await store.documents.put("profiles", "bob", "of Bob")


OF_A_USER = [sessions_of_adk, threads_of_chatkit, a_run_state_of_openai, plain_documents]


@every_backend
@pytest.mark.parametrize("fill", OF_A_USER)
async def test_a_thread_with_the_id_of_a_user_takes_nothing_of_that_user_with_it(
    store_url: str, fill: Callable[[Store], Awaitable[None]]
) -> None:
    async with open_store(store_url, migrate=True) as store:
        await fill(store)
        before: list[Any] = await everything(store)
        owned = (await store.threads.list_summaries(resource_id="bob")).items
        await store.threads.create(Thread(id="bob", resource_id="anna"))
        erased = await store.erase("anna")
        assert (erased.threads, erased.documents, erased.left) == (1, 0, ("bob",))
        assert before
        assert await everything(store) == before
        assert (await store.threads.list_summaries()).items == owned
        await store.erase("bob")
        assert await everything(store) == []


async def session_of_adk_with_the_name_of(store: Store, user: str) -> None:
    service = TreadleSessionService(store)
    await service.create_session(app_name="app", user_id=user, session_id="bob")


async def session_of_openai_with_the_name_of(store: Store, user: str) -> None:
    session = TreadleSession("bob", store, resource_id=user)
    await session.add_items([{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    "begin", [session_of_adk_with_the_name_of, session_of_openai_with_the_name_of]
)
@pytest.mark.parametrize("fill", OF_A_USER)
async def test_a_session_with_the_name_of_a_user_takes_nothing_of_that_user_with_it(
    fill: Callable[[Store], Awaitable[None]], begin: Callable[[Store, str], Awaitable[None]]
) -> None:
    async with open_store("memory:") as store:
        await fill(store)
        before: list[Any] = await everything(store)
        await begin(store, "anna")
        await store.erase("anna")
        assert await everything(store) == before
