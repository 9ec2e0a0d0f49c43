"""Sessions of ADK's own services come with their events and their state."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService
from google.adk.sessions.database_session_service import DatabaseSessionService
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from tests.frameworks.importing.runs import command, everything, run
from tests.marks import every_backend
from treadle import InvalidValue, Store
from treadle.integrations.google_adk import TreadleSessionService, import_sessions

Open = Callable[[Path], Any]


def database(path: Path) -> DatabaseSessionService:
    return DatabaseSessionService(f"sqlite+aiosqlite:///{path}")


def plain(path: Path) -> SqliteSessionService:
    return SqliteSessionService(str(path))


async def close(service: BaseSessionService) -> None:
    if hasattr(service, "close"):  # `SqliteSessionService` has it from ADK 2.12 on
        await service.close()


async def talk(service: BaseSessionService, user: str, name: str, turns: int) -> None:
    where: dict[str, Any] = {"app_name": "app", "user_id": user, "session_id": name}
    session = await service.get_session(**where)
    if session is None:
        state = {"app:theme": "dark", "user:name": user, "begun": True}
        session = await service.create_session(**where, state=state)
    for number in range(turns):
        part = types.Part(text=f"turn {number}")
        data = types.Part.from_bytes(data=b"\x00\xff", mime_type="image/png")
        event = Event(
            author="user",
            content=types.Content(role="user", parts=[part, data]),
            actions=EventActions(state_delta={"turn": number, "user:last": name}),
        )
        await service.append_event(session, event)


async def sessions(service: BaseSessionService) -> list[Session]:
    found = []
    for each in (await service.list_sessions(app_name="app")).sessions:
        session = await service.get_session(
            app_name="app", user_id=each.user_id, session_id=each.id
        )
        assert session is not None
        found.append(session)
    return sorted(found, key=lambda session: (session.user_id, session.id))


def contents(found: list[Session]) -> list[dict[str, Any]]:
    return [session.model_dump() for session in found]


@pytest.mark.parametrize("opened", [database, plain])
async def test_the_source_is_not_changed(store: Store, tmp_path: Path, opened: Open) -> None:
    """A database of an older version lacks an index, which ADK's service would make."""
    path = tmp_path / "a % of x?.db"
    service = opened(tmp_path / "x.db")
    await talk(service, "ann", "one", 2)
    await close(service)
    with closing(sqlite3.connect(tmp_path / "x.db")) as source:
        source.execute("DROP INDEX IF EXISTS idx_events_app_user_session_ts_id")
        source.execute("VACUUM")
    (tmp_path / "x.db").rename(path)
    before = path.read_bytes()
    imported = await run(import_sessions, store, f"sqlite:///{quote(str(path))}")
    assert [(each.kind, each.items, each.reason) for each in imported.values()] == [
        ("created", 2, None)
    ]
    assert path.read_bytes() == before


@pytest.mark.parametrize("opened", [database, plain])
@every_backend
async def test_sessions_are_imported_as_they_are(
    store: Store, tmp_path: Path, opened: Open
) -> None:
    service = opened(tmp_path / "x.db")
    await talk(service, "ann", "one", 3)
    await talk(service, "ann", "two", 0)
    await talk(service, "bob", "one", 1)
    expected = contents(await sessions(service))
    await close(service)
    url = f"sqlite:///{tmp_path}/x.db"
    imported = await run(import_sessions, store, url)
    assert {name: (each.kind, each.items) for name, each in imported.items()} == {
        "app/ann/one": ("created", 3),
        "app/ann/two": ("created", 0),
        "app/bob/one": ("created", 1),
    }
    target = TreadleSessionService(store)
    assert contents(await sessions(target)) == expected

    before = await everything(store)
    again = await run(import_sessions, store, url)
    assert {each.kind for each in again.values()} == {"unchanged"}
    assert await everything(store) == before

    service = opened(tmp_path / "x.db")
    await talk(service, "ann", "one", 1)
    await close(service)
    assert (await run(import_sessions, store, url))["app/ann/one"].items == 1
    one = (await sessions(target))[0]
    assert (len(one.events), one.state["turn"]) == (4, 0)
    await talk(target, "ann", "one", 2)


async def test_sessions_in_postgresql_are_imported(store: Store, postgres_url: str) -> None:
    schema = f"adk_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
    joint = "&" if "?" in postgres_url else "?"
    url = f"{postgres_url}{joint}options=-csearch_path%3D{schema}"
    try:
        async with DatabaseSessionService(url.replace("postgresql:", "postgresql+psycopg:")) as own:
            await talk(own, "ann", "one", 2)
            expected = contents(await sessions(own))
        imported = await run(import_sessions, store, url)
        assert {each.kind for each in imported.values()} == {"created"}
        assert contents(await sessions(TreadleSessionService(store))) == expected
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE')


async def test_a_session_that_differs_fails_and_shared_state_stays(
    store: Store, tmp_path: Path
) -> None:
    target = TreadleSessionService(store)
    await talk(target, "ann", "one", 1)
    service = plain(tmp_path / "x.db")
    await talk(service, "ann", "one", 1)
    await talk(service, "ann", "two", 1)
    await close(service)
    imported = await run(import_sessions, store, f"sqlite:///{tmp_path}/x.db")
    assert {name: each.kind for name, each in imported.items()} == {
        "app/ann/one": "failed",
        "app/ann/two": "created",
    }
    state = await target.get_user_state(app_name="app", user_id="ann")
    assert state == {"name": "ann", "last": "one"}


async def test_a_session_whose_id_has_spaces_around_it_is_found(
    store: Store, tmp_path: Path
) -> None:
    """`DatabaseSessionService` keeps them, and all other services of ADK cut them off."""
    source = database(tmp_path / "x.db")
    await talk(source, "ann", " one ", 2)
    await close(source)
    url = f"sqlite:///{tmp_path}/x.db"
    assert (await run(import_sessions, store, url))["app/ann/one"].items == 2
    assert (await run(import_sessions, store, url))["app/ann/one"].kind == "unchanged"
    target = TreadleSessionService(store)
    for name in (" one ", "one"):
        found = await target.get_session(app_name="app", user_id="ann", session_id=name)
        assert found is not None
        assert len(found.events) == 2


async def test_what_is_no_database_of_adk_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 200)
    with pytest.raises(InvalidValue, match="no sessions"):
        await run(import_sessions, store, f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(InvalidValue, match="name a database"):
        await run(import_sessions, store, str(tmp_path))


async def test_the_command_imports_them(tmp_path: Path) -> None:
    service = database(tmp_path / "x.db")
    await talk(service, "ann", "one", 2)
    await close(service)
    arguments = ("--store", str(tmp_path / "store"), "--from", "google-adk")
    status, found, errors = command(*arguments, f"sqlite:///{tmp_path}/x.db")
    assert (status, found["created"], found["items"]) == (0, 1, 2), errors


@pytest.mark.parametrize("password", ["secret", "sec%ret", "sec ret"])
async def test_a_server_that_cannot_be_asked_is_refused_without_its_password(
    store: Store, password: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await run(import_sessions, store, f"postgresql://me:{password}@localhost:1/x")
    assert password not in str(refused.value)
    if password != "sec ret":  # whether that is a URL depends on psycopg's version
        assert ("cannot be read: " in str(refused.value)) == (password == "secret")
