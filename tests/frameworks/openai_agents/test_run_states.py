from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from agents import Agent, Runner, function_tool
from agents.testing import ScriptedModel

from tests.frameworks.openai_agents.items import call, text
from tests.marks import every_backend
from treadle import CorruptRecord, Store, VersionConflict
from treadle.integrations.openai_agents import (
    TreadleSession,
    load_run_state,
    put_run_state,
    take_run_state,
)

paid: list[int] = []


@function_tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pay."""
    paid.append(amount)
    return "paid"


def agent() -> Agent:
    model = ScriptedModel([[call("pay", '{"amount": 40}')], [text("It is paid.")]])
    return Agent(name="clerk", model=model, tools=[pay])


@every_backend
async def test_a_run_waits_in_a_document(store: Store, session: TreadleSession) -> None:
    paid.clear()
    clerk = agent()
    result = await Runner.run(clerk, "Pay 40.", session=session)
    assert result.interruptions
    async with store.batch() as step:
        written = put_run_state(step, ("chat", "1"), result.to_state(), expected=0)

    state = await load_run_state(store, ("chat", "1"), clerk)
    assert state is not None
    state.approve(state.get_interruptions()[0])
    again = await Runner.run(clerk, state, session=session)
    assert (again.final_output, paid) == ("It is paid.", [40])
    with pytest.raises(VersionConflict):
        await put_run_state(store, ("chat", "1"), again.to_state(), expected=0)
    version = written.result.version
    await put_run_state(store, ("chat", "1"), again.to_state(), expected=version)


async def approve(store: Store, clerk: Agent[Any]) -> str | None:
    """Go on with the run that waits, if one does, and say what comes out."""
    async with store.batch() as step:
        state = await take_run_state(step, store, "chat", clerk)
        if state is None:
            return None
        state.approve(state.get_interruptions()[0])
        session = TreadleSession("chat", store, step=step)
        result = await Runner.run(clerk, state, session=session)
    return str(result.final_output)


@every_backend
async def test_a_run_is_taken_once(store: Store) -> None:
    """The second click on "Approve" finds nothing."""
    paid.clear()
    clerk = agent()
    result = await Runner.run(clerk, "Pay 40.", session=TreadleSession("chat", store))
    await put_run_state(store, "chat", result.to_state())
    assert await approve(store, clerk) == "It is paid."
    assert await approve(store, clerk) is None
    assert paid == [40]
    assert await store.documents.load("openai-run-states", "chat") is None
    messages = (await store.threads.list_messages("chat")).messages
    roles = [each.message.role for each in messages]
    assert roles == ["user", "assistant", "tool", "assistant"]


@every_backend
async def test_of_several_that_take_a_run_one_commits(store: Store) -> None:
    clerk = agent()
    result = await Runner.run(clerk, "Pay 40.")
    await put_run_state(store, "chat", result.to_state())
    with pytest.raises(VersionConflict):
        async with store.batch() as late:
            assert await take_run_state(late, store, "chat", clerk) is not None
            async with store.batch() as step:
                assert await take_run_state(step, store, "chat", clerk) is not None
                put_run_state(step, "chat", result.to_state())  # it waits again
    assert await load_run_state(store, "chat", clerk) is not None


async def test_a_run_that_cannot_be_read_is_not_taken(store: Store) -> None:
    await store.documents.put("openai-run-states", "chat", {})
    async with store.batch() as step:
        with pytest.raises(CorruptRecord, match="the run state"):
            await take_run_state(step, store, "chat", agent())
    assert await store.documents.load("openai-run-states", "chat") is not None


@dataclass
class Customer:
    """The context of an application's runs."""

    name: str


async def test_the_context_of_an_application_comes_back(store: Store) -> None:
    clerk = agent()
    result = await Runner.run(clerk, "Pay 40.", context=Customer("Anna"))

    def write(context: Any) -> dict[str, Any]:
        return {"customer": context.name}

    def read(value: Mapping[str, Any]) -> Customer:
        return Customer(value["customer"])

    state = result.to_state()
    await put_run_state(store, "x", state, context_serializer=write, strict_context=True)
    found = await load_run_state(store, "x", clerk, context_deserializer=read)
    assert found is not None
    assert found._context is not None
    assert found._context.context == Customer("Anna")


async def test_there_is_no_run_under_another_key(store: Store) -> None:
    assert await load_run_state(store, "x", agent()) is None


@pytest.mark.parametrize("value", [None, {}, {"$schemaVersion": "999.0"}, "state"])
async def test_a_damaged_run_is_refused(store: Store, value: object) -> None:
    await store.documents.put("openai-run-states", "x", value)
    with pytest.raises(CorruptRecord, match=r"the run state \('x',\)"):
        await load_run_state(store, "x", agent())
