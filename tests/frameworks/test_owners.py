"""Nobody's name makes a user the owner of what an adapter stores for all."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from agent_framework import WorkflowCheckpoint
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelMessage, ModelRequest

from tests.frameworks.importing.runs import everything
from tests.frameworks.langgraph.graphs import put, thread
from tests.marks import every_backend
from treadle import Store, Thread, open_store
from treadle.integrations.agent_framework import TreadleCheckpointStorage
from treadle.integrations.google_adk import TreadleSessionService
from treadle.integrations.langgraph import TreadleSaver, TreadleStore
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
