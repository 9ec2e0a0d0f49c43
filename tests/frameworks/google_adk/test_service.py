"""What the session service promises beyond ADK's contract."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from google.genai import types

from tests.frameworks.google_adk.events import APP, USER, changing, said
from tests.marks import every_backend
from treadle import ClaimConflict, CorruptRecord, InvalidValue, Message, Store
from treadle.integrations.google_adk import TreadleSessionService
from treadle.integrations.google_adk._events import as_messages
from treadle.queries import ListDocuments, LoadThread

ODD = "Ä b/c..d%2E~:\\é"
"""A text that is not an id of a store."""


async def load(service: TreadleSessionService, name: str = "s", **options: Any) -> Session:
    config = GetSessionConfig(**options)
    found = await service.get_session(app_name=APP, user_id=USER, session_id=name, config=config)
    assert found is not None
    return found


async def thread_of(store: Store) -> str:
    [thread_id] = (await store.threads.list()).items
    return thread_id


@every_backend
async def test_a_second_writer_may_append_to_a_session_that_has_changed(store: Store) -> None:
    service = TreadleSessionService(store)
    compaction = TreadleSessionService(store, on_stale="append")
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    old = await load(compaction)
    await service.append_event(session, changing({"a": 1}))
    await compaction.append_event(old, changing({"b": 2}))
    await compaction.append_event(old, said("again"))
    found = await load(service)
    assert len(found.events) == 3
    assert found.state == {"a": 1, "b": 2}
    assert found._storage_update_marker == old._storage_update_marker
    with pytest.raises(StaleSessionError):
        await service.append_event(session, said())


@every_backend
async def test_a_second_writer_appends_to_no_session_that_is_gone(store: Store) -> None:
    service = TreadleSessionService(store, on_stale="append")
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await service.delete_session(app_name=APP, user_id=USER, session_id="s")
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, said())


def test_a_service_knows_two_ways_with_stale_sessions(store: Store) -> None:
    with pytest.raises(ValueError, match="'raise' or 'append', not 'ignore'"):
        TreadleSessionService(store, on_stale="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", ["half of an emoji: \ud83d", "a line\n", "x" * 2_000])
async def test_an_id_that_cannot_be_stored_is_refused(
    service: TreadleSessionService, odd: str
) -> None:
    with pytest.raises(InvalidValue):
        await service.create_session(app_name=APP, user_id=odd, session_id="s")
    with pytest.raises(InvalidValue):
        await service.create_session(app_name=APP, user_id=USER, session_id=f"{odd}s")
    for user, name in ((odd, "s"), (USER, f"{odd}s")):
        where: dict[str, Any] = {"app_name": APP, "user_id": user, "session_id": name}
        assert await service.get_session(**where) is None
        await service.delete_session(**where)


@every_backend
async def test_a_session_that_was_created_again_refuses_events_of_the_old_one(
    service: TreadleSessionService,
) -> None:
    old = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await service.delete_session(app_name=APP, user_id=USER, session_id="s")
    await service.create_session(app_name=APP, user_id=USER, session_id="s")
    with pytest.raises(StaleSessionError):
        await service.append_event(old, said())
    assert (await load(service)).events == []


@every_backend
async def test_a_session_without_a_revision_is_refused_if_it_is_old(
    service: TreadleSessionService,
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    made = Session(app_name=APP, user_id=USER, id="s", last_update_time=session.last_update_time)
    await service.append_event(session, said(timestamp=session.last_update_time + 1))
    with pytest.raises(StaleSessionError):
        await service.append_event(made, said())


@every_backend
async def test_a_session_whose_caller_is_cancelled_is_what_is_stored_and_goes_on(
    service: TreadleSessionService,
) -> None:
    for turns in range(12):
        name = f"s{turns}"
        session = await service.create_session(app_name=APP, user_id=USER, session_id=name)
        appending = asyncio.create_task(service.append_event(session, changing({"a": 1})))
        for _ in range(turns):
            await asyncio.sleep(0)
        appending.cancel()
        await asyncio.gather(appending, return_exceptions=True)
        stored = await load(service, name)
        assert (stored.events, stored.state) == (session.events, session.state)
        await service.append_event(session, said("go on"))
        assert (await load(service, name)).events == session.events


@every_backend
async def test_sessions_that_change_different_keys_of_the_user_lose_nothing(
    service: TreadleSessionService,
) -> None:
    sessions = [await service.create_session(app_name=APP, user_id=USER) for _ in range(4)]
    await asyncio.gather(
        *(
            service.append_event(session, changing({f"user:{n}": n, f"app:{n}": n}))
            for n, session in enumerate(sessions)
        )
    )
    found = await load(service, sessions[0].id)
    assert found.state == {f"{scope}:{n}": n for scope in ("user", "app") for n in range(4)}


@every_backend
async def test_tasks_that_share_a_session_append_in_turns(service: TreadleSessionService) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await asyncio.gather(*(service.append_event(session, said(str(n))) for n in range(20)))
    assert [event.id for event in session.events] == [e.id for e in (await load(service)).events]
    assert len(session.events) == 20


async def test_locks_of_sessions_are_dropped_when_nobody_needs_them(
    service: TreadleSessionService,
) -> None:
    for _ in range(3):
        session = await service.create_session(app_name=APP, user_id=USER)
        await service.append_event(session, said())
    assert len(service._locks) == 0


async def test_a_long_session_with_much_state_is_read_whole(
    service: TreadleSessionService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {f"{scope}{n:04}": n for scope in ("", "user:", "app:") for n in range(450)}
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s", state=state)
    for number in range(230):
        await service.append_event(session, said(str(number)))
    found = await load(service)
    assert found == session
    assert found.state == state
    assert [e.id for e in (await load(service, num_recent_events=220)).events] == [
        e.id for e in session.events[10:]
    ]
    [listed] = (await service.list_sessions(app_name=APP)).sessions
    assert listed.state == state
    for _ in range(300):
        await store.threads.append(
            await thread_of(store), *as_messages(said()), *as_messages(said())
        )
    expected = [e.id for e in (await load(service)).events]
    monkeypatch.setattr(LoadThread, "answer", None)  # which would read all of it
    for count in (1, 200, 201, 401, 829, 830, 2_000):
        found = await load(service, num_recent_events=count)
        assert [e.id for e in found.events] == expected[-count:]


async def test_a_session_that_changes_while_its_pages_are_read_is_read_again(
    service: TreadleSessionService,
    store: Store,
    another: Callable[[], TreadleSessionService],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {f"{n:04}": 0 for n in range(250)}
    await service.create_session(app_name=APP, user_id=USER, session_id="s", state=keys)
    listing, reads = store.documents.list, 0

    async def list_late(*args: Any, **options: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 1:
            changed = changing(dict.fromkeys(keys, 1))
            await another().append_event(await load(another()), changed)
        return await listing(*args, **options)

    monkeypatch.setattr(store.documents, "list", list_late)
    found = await load(service)
    assert set(found.state.values()) == {1}
    assert len(found.events) == 1


@every_backend
async def test_names_of_all_kinds_are_kept(service: TreadleSessionService) -> None:
    names: list[tuple[str, str, str]] = [
        (ODD, ODD, ODD),
        ("a", "b.c", "d"),
        ("a", "b", "c.d"),
        ("a.b", "c", "d"),
        ("a", "", "s"),
        ("x" * 300, "y", "z"),
        ("x" * 301, "y", "z"),
    ]
    for app, user, name in names:
        session = await service.create_session(
            app_name=app, user_id=user, session_id=name, state={ODD: name, "user:": user}
        )
        await service.append_event(session, said(f"{app}{user}{name}"))
    for app, user, name in names:
        found = await service.get_session(app_name=app, user_id=user, session_id=name)
        assert found is not None
        assert (found.app_name, found.user_id, found.id) == (app, user, name)
        assert found.state == {ODD: name, "user:": user}
        [event] = found.events
        assert event.content == types.Content(
            role="user", parts=[types.Part(text=f"{app}{user}{name}")]
        )
        listed = await service.list_sessions(app_name=app, user_id=user)
        assert [each.id for each in listed.sessions] == [name]


@pytest.mark.parametrize(
    "parts",
    [
        None,
        [],
        [types.Part(text="")],
        [types.Part(text="thought", thought=True)],
        [types.Part(text="one"), types.Part(text="two")],
        [types.Part(function_call=types.FunctionCall(id="1", name="f", args={"x": 1}))],
    ],
)
async def test_contents_of_all_kinds_are_kept(
    service: TreadleSessionService, parts: list[types.Part] | None
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    content = types.Content(role="model", parts=parts)
    await service.append_event(session, said(author="agent", content=content))
    await service.append_event(session, said(content=None))
    assert await load(service) == session


async def test_the_events_of_a_session_are_a_thread_that_others_can_read(
    service: TreadleSessionService, store: Store
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await service.append_event(session, said("hello"))
    await service.append_event(session, said("welcome", author="agent"))
    head = await store.threads.load("adk.app.user.s")
    assert head is not None
    assert head.thread.resource_id == USER
    messages = head.thread.messages
    assert [(each.role, each.content) for each in messages] == [
        ("user", "hello"),
        ("assistant", "welcome"),
    ]


async def test_a_message_that_others_appended_is_an_event(
    service: TreadleSessionService, store: Store
) -> None:
    await service.create_session(app_name=APP, user_id=USER, session_id="s")
    thread_id = await thread_of(store)
    await store.threads.append(thread_id, Message.assistant("from elsewhere", id="m"))
    [event] = (await load(service)).events
    assert (event.id, event.author) == ("m", "assistant")
    assert event.content == types.Content(role="model", parts=[types.Part(text="from elsewhere")])


@pytest.mark.parametrize("fields", [{"timestamp": "x"}, {"content": 3}, {"author": 1}, 7])
async def test_a_damaged_event_is_named(
    service: TreadleSessionService, store: Store, fields: object
) -> None:
    await service.create_session(app_name=APP, user_id=USER, session_id="s")
    damaged = Message(role="user", content="x", extra={"google_adk": fields})
    await store.threads.append(await thread_of(store), damaged)
    with pytest.raises(CorruptRecord, match=r"message 0 of thread 'adk\.app\.user\.s'"):
        await load(service)


async def test_a_damaged_head_is_named(service: TreadleSessionService, store: Store) -> None:
    await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await store.documents.put("adk.app", (USER, "sessions", "s"), {"last_update_time": "now"})
    with pytest.raises(CorruptRecord, match="no last_update_time"):
        await load(service)


@every_backend
async def test_a_session_whose_thread_is_gone_does_not_exist(
    service: TreadleSessionService, store: Store
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await store.threads.delete(await thread_of(store))
    for count in (None, 0, 3):
        config = GetSessionConfig(num_recent_events=count)
        found = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=config)
        assert found is None
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, said())


@every_backend
async def test_an_erased_user_leaves_nothing(service: TreadleSessionService, store: Store) -> None:
    for user in (USER, "other"):
        for name in ("s1", "s2"):
            session = await service.create_session(
                app_name=APP, user_id=user, session_id=name, state={"user:a": 1, "b": 2}
            )
            await service.append_event(session, said())
    await store.erase(USER)
    assert (await service.list_sessions(app_name=APP, user_id=USER)).sessions == []
    assert await service.get_user_state(app_name=APP, user_id=USER) == {}
    assert len((await service.list_sessions(app_name=APP)).sessions) == 2
    assert (await store.threads.list()).items == ("adk.app.other.s1", "adk.app.other.s2")
    [page] = await store.read(ListDocuments(collection="adk.app", limit=200))
    assert {document.key[0] for document in page.items} == {"other"}


@pytest.mark.parametrize("value", [float("nan"), 2**70, "\ud800"])
async def test_state_that_cannot_be_stored_is_refused_before_anything_is_written(
    service: TreadleSessionService, value: object
) -> None:
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    with pytest.raises(InvalidValue):
        await service.append_event(session, changing({"ok": 1, "bad": value}))
    assert session.events == []
    found = await load(service)
    assert (found.events, found.state) == ([], {})


@every_backend
async def test_a_worker_that_has_lost_its_claim_writes_nothing(store: Store) -> None:
    await store.mailboxes.send("bob", 1)
    [entry] = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    service = TreadleSessionService(store, hold=entry)
    ids: dict[str, Any] = {"app_name": "app", "user_id": "bob"}
    session = await service.create_session(**ids, session_id="s")
    await service.append_event(session, Event(author="user", id="1"))
    await store.mailboxes.ack(entry)
    for refused in (
        service.append_event(session, Event(author="user", id="2")),
        service.create_session(**ids, session_id="t"),
        service.delete_session(**ids, session_id="s"),
    ):
        with pytest.raises(ClaimConflict):
            await refused
    found = (await TreadleSessionService(store).list_sessions(**ids)).sessions
    assert [each.id for each in found] == ["s"]
    loaded = await service.get_session(**ids, session_id="s")
    assert loaded is not None
    assert [each.id for each in loaded.events] == ["1"]
