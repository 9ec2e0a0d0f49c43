"""An adapter whose calls are awaited refuses a blocking store at once, and says which to open."""

from collections.abc import Callable
from typing import Any

import pytest

import treadle.blocking
from treadle import InvalidValue
from treadle.integrations.agent_framework import TreadleCheckpointStorage, TreadleHistoryProvider
from treadle.integrations.chatkit import TreadleChatKitStore
from treadle.integrations.google_adk import TreadleSessionService
from treadle.integrations.openai_agents import TreadleSession, load_run_state
from treadle.integrations.prometheus import StoreCollector
from treadle.integrations.pydantic_ai import TreadleConversationStore

ADAPTERS: dict[str, Callable[[Any], object]] = {
    "OpenAI Agents": lambda store: TreadleSession("chat", store),
    "PydanticAI": TreadleConversationStore,
    "ChatKit": lambda store: TreadleChatKitStore(store, owner=str),
    "ADK": TreadleSessionService,
    "Agent Framework": TreadleHistoryProvider,
    "Agent Framework's workflows": TreadleCheckpointStorage,
}


@pytest.mark.parametrize("make", ADAPTERS.values(), ids=ADAPTERS)
def test_a_blocking_store_is_refused(make: Callable[[Any], object]) -> None:
    store = treadle.blocking.open_store("memory:")
    with pytest.raises(InvalidValue, match=r"`treadle\.open_store`, not one of `treadle\.bloc"):
        make(store)
    with pytest.raises(InvalidValue, match="not a str"):
        make("sqlite:///agents.db")


async def test_a_run_state_is_not_in_a_blocking_store() -> None:
    agent: Any = None
    store: Any = treadle.blocking.open_store("memory:")
    with pytest.raises(InvalidValue, match=r"`treadle\.open_store`"):
        await load_run_state(store, "chat", agent)


async def test_metrics_need_a_blocking_store() -> None:
    store: Any = treadle.open_store("memory:")
    with pytest.raises(InvalidValue, match=r"`treadle\.blocking\.open_store`"):
        StoreCollector(store)
