"""The contract of history providers: a test of ours for each that the framework has.

Its `tests/core/test_sessions.py` is in no package. These tests have the names of its tests of
`HistoryProvider`, and of its providers in memory and in files.
"""

import asyncio
from typing import Any

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    Content,
    Message,
    SessionContext,
)

from tests.marks import every_backend
from treadle import Store
from treadle.integrations.agent_framework import TreadleHistoryProvider

pytestmark = every_backend

History = TreadleHistoryProvider


async def turn(
    history: History,
    texts: list[str],
    answer: AgentResponse | None = None,
    **context: list[Message],
) -> list[str]:
    """Run an agent that gets texts; return the texts of earlier runs that it is given."""
    inputs = [Message("user", [text]) for text in texts]
    run = SessionContext(session_id="s", input_messages=inputs)
    arguments: dict[str, Any] = {
        "agent": None,
        "session": AgentSession(session_id="s"),
        "context": run,
        "state": {},
    }
    if history.load_messages:
        await history.before_run(**arguments)
    for source, messages in context.items():
        run.extend_messages(source, messages)
    run._response = answer or AgentResponse(messages=[Message("assistant", ["answer"])])
    await history.after_run(**arguments)
    return [each.text for each in run.context_messages.get(history.source_id, [])]


async def texts(history: History, session_id: str | None = "s") -> list[str]:
    return [message.text for message in await history.get_messages(session_id)]


def test_default_flags(store: Store) -> None:
    history = TreadleHistoryProvider(store)
    assert history.load_messages is True
    assert history.store_outputs is True
    assert history.store_inputs is True
    assert history.store_context_messages is False
    assert history.store_context_from is None


def test_custom_flags(store: Store) -> None:
    history = TreadleHistoryProvider(
        store,
        "audit",
        load_messages=False,
        store_inputs=False,
        store_context_messages=True,
        store_context_from={"rag"},
        store_outputs=False,
    )
    assert history.load_messages is False
    assert history.store_inputs is False
    assert history.store_outputs is False
    assert history.store_context_messages is True
    assert history.store_context_from == {"rag"}


def test_source_id_attribution(store: Store) -> None:
    assert TreadleHistoryProvider(store, "custom").source_id == "custom"


async def test_empty_state_returns_no_messages(history: History) -> None:
    assert await turn(history, []) == []


async def test_missing_session_returns_empty_messages(history: History) -> None:
    assert await history.get_messages("missing") == []


async def test_before_run_loads_messages(history: History) -> None:
    await history.save_messages("s", [Message("user", ["history"])])
    assert await turn(history, ["now"]) == ["history"]


async def test_stores_and_loads_messages(history: History) -> None:
    assert await turn(history, ["hello"]) == []
    assert await turn(history, ["again"]) == ["hello", "answer"]
    assert await texts(history) == ["hello", "answer", "again", "answer"]


async def test_after_run_stores_inputs_and_responses(history: History) -> None:
    await turn(history, ["hello"])
    found = await history.get_messages("s")
    assert [(each.role, each.text) for each in found] == [
        ("user", "hello"),
        ("assistant", "answer"),
    ]


async def test_after_run_stores_coalesced_code_interpreter_chunks(history: History) -> None:
    def called(text: str, number: int) -> AgentResponseUpdate:
        call = Content.from_code_interpreter_tool_call(
            call_id="c",
            inputs=[Content.from_text(text=text)],
            additional_properties={"sequence_number": number},
        )
        return AgentResponseUpdate(contents=[call])

    result = Content.from_code_interpreter_tool_result(call_id="c", outputs=[])
    first = AgentResponseUpdate(role="assistant", contents=[result])
    response = AgentResponse.from_updates([first, called("import", 1), called(" this", 2)])
    await turn(history, [], response)
    [found] = await history.get_messages("s")
    assert found.to_dict() == response.messages[0].to_dict()
    [call] = [each for each in found.contents if each.type == "code_interpreter_tool_call"]
    assert call.inputs is not None
    assert "".join(each.text or "" for each in call.inputs) == "import this"


async def test_after_run_skips_inputs_when_disabled(store: Store) -> None:
    history = TreadleHistoryProvider(store, store_inputs=False)
    await turn(history, ["hello"])
    assert await texts(history) == ["answer"]


async def test_after_run_skips_responses_when_disabled(store: Store) -> None:
    history = TreadleHistoryProvider(store, store_outputs=False)
    await turn(history, ["hello"])
    assert await texts(history) == ["hello"]


async def test_after_run_stores_context_messages(store: Store) -> None:
    history = TreadleHistoryProvider(
        store, "audit", load_messages=False, store_context_messages=True
    )
    await turn(history, ["hello"], rag=[Message("system", ["context"])])
    assert await texts(history) == ["context", "hello", "answer"]


async def test_after_run_stores_context_from_specific_sources(store: Store) -> None:
    history = TreadleHistoryProvider(
        store,
        "audit",
        load_messages=False,
        store_context_messages=True,
        store_context_from={"rag"},
    )
    rag, other = [Message("system", ["of rag"])], [Message("system", ["of other"])]
    await turn(history, [], AgentResponse(messages=[]), rag=rag, other=other)
    assert await texts(history) == ["of rag"]


async def test_none_session_id_uses_a_session_of_its_own(history: History) -> None:
    await history.save_messages(None, [Message("user", ["hello"])])
    assert await texts(history, None) == ["hello"]
    assert await texts(history, "default") == []


async def test_skip_excluded_omits_excluded_messages(store: Store) -> None:
    history = TreadleHistoryProvider(store, skip_excluded=True)
    excluded = Message("assistant", ["skip"], additional_properties={"_excluded": True})
    await history.save_messages("s", [Message("user", ["keep"]), excluded])
    assert await texts(history) == ["keep"]


async def test_uses_encoded_names_for_unsafe_session_ids(history: History) -> None:
    names = ["../a", "..", "a/b", "a.b", "CON", "é" * 150, ""]
    for name in names:
        await history.save_messages(name, [Message("user", [name or "empty"])])
    for name in names:
        assert await texts(history, name) == [name or "empty"]


async def test_concurrent_writes_for_same_session_are_locked(
    history: History, store: Store
) -> None:
    other = TreadleHistoryProvider(store)
    await asyncio.gather(
        *(
            each.save_messages("s", [Message("user", [f"{side}-{number}"])])
            for number in range(10)
            for side, each in enumerate((history, other))
        )
    )
    assert sorted(await texts(history)) == sorted(f"{s}-{n}" for s in range(2) for n in range(10))
