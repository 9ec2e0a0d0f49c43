"""What a thread shows of a session's events, and that ADK loads them as they were."""

from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from tests.marks import every_backend
from treadle import Message, Store, StoredMessage
from treadle.integrations.google_adk import TreadleSessionService
from treadle.integrations.google_adk._events import as_event

APP: dict[str, Any] = {"app_name": "app", "user_id": "anna", "session_id": "s"}


def event(*parts: types.Part, author: str = "agent", id: str = "", **fields: Any) -> Event:
    role = "user" if author == "user" else "model"
    content = types.Content(role=role, parts=list(parts)) if parts else None
    made = Event(author=author, content=content, **fields)
    return made.model_copy(update={"id": id}) if id else made


def call(id: str | None, **args: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(id=id, name="weather", args=args or None))


def result(id: str, **response: Any) -> types.Part:
    given = types.FunctionResponse(id=id, name="weather", response=response)
    return types.Part(function_response=given)


async def appended(store: Store, *events: Event) -> list[Message]:
    """Append events to a new session, and return the messages of its thread."""
    service = TreadleSessionService(store)
    session = await service.create_session(**APP)
    for each in events:
        await service.append_event(session, each)
    [thread_id] = (await store.threads.list()).items
    head = await store.threads.load(thread_id)
    assert head is not None
    return list(head.thread.messages)


async def loaded(store: Store, count: int | None = None) -> list[Event]:
    config = None if count is None else GetSessionConfig(num_recent_events=count)
    session = await TreadleSessionService(store).get_session(**APP, config=config)
    assert session is not None
    return session.events


@every_backend
async def test_calls_and_results_are_those_of_the_thread(store: Store) -> None:
    events = [
        event(types.Part(text="Weather?"), author="user"),
        event(types.Part(text="I look."), call("c", city="Oslo")),
        event(result("c", sky="grey")),
        event(types.Part(text="It is grey.")),
    ]
    user, asks, gets, says = await appended(store, *events)
    assert (user.role, user.content) == ("user", "Weather?")
    assert (asks.role, asks.content, asks.tool_calls) == ("assistant", "I look.", asks.tool_calls)
    [made] = asks.tool_calls or ()
    assert (made.id, made.name, made.arguments) == ("c", "weather", {"city": "Oslo"})
    assert (gets.role, gets.tool_call_id, gets.content) == ("tool", "c", '{"sky":"grey"}')
    assert (says.role, says.content) == ("assistant", "It is grey.")
    assert await loaded(store) == events


@every_backend
async def test_each_of_several_results_is_a_message(store: Store) -> None:
    """ADK has the results of parallel calls in one event, and counts events."""
    events: list[Event] = []
    for number in range(3):
        names = [f"{number}-{each}" for each in "abc"]
        events += [event(*map(call, names)), event(*(result(each, of=each) for each in names))]
    messages = await appended(store, *events)
    results = [each for each in messages if each.role == "tool"]
    assert [each.tool_call_id for each in results] == [f"{n}-{k}" for n in range(3) for k in "abc"]
    assert results[1].content == '{"of":"0-b"}'
    assert await loaded(store) == events
    for count in range(1, 8):
        assert await loaded(store, count) == events[-count:]
    # A session of another service has no revision, so the last event tells whether it is current.
    service = TreadleSessionService(store)
    session = await service.get_session(**APP)
    assert session is not None
    session._storage_update_marker = None
    await service.append_event(session, event(types.Part(text="done")))


@every_backend
async def test_what_says_nothing_is_internal(store: Store) -> None:
    patch = event(author="user", actions=EventActions(state_delta={"theme": "dark"}))
    events = [event(types.Part(text="hi"), author="user"), patch]
    said, changed = await appended(store, *events)
    assert (said.visibility, changed.visibility) == ("all", "internal")
    assert await loaded(store) == events
    assert await loaded(store, 1) == [patch]


async def test_other_parts_are_beside_the_calls(store: Store) -> None:
    thought = types.Part(text="Hm.", thought=True)
    events = [event(thought, call("c")), event(call(None, city="Oslo")), event(result("c", n=1.5))]
    asks, unnamed, _ = await appended(store, *events)
    assert asks.content == [{"text": "Hm.", "thought": True}]
    assert [each.arguments for each in asks.tool_calls or ()] == [{}]
    assert unnamed.tool_calls is None  # a call without an id has no result that names it
    assert await loaded(store) == events


def test_an_event_that_was_written_before_still_loads() -> None:
    """Its parts are the message's content, and its fields have none."""
    wanted = event(call("c", city="Oslo"), id="e")
    fields = wanted.model_dump(mode="json", exclude_none=True)
    parts = fields["content"].pop("parts")
    message = Message(role="assistant", content=parts, extra={"google_adk": fields})
    assert as_event(StoredMessage(cursor=0, message=message), "t") == wanted
