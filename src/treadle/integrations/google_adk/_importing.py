"""Sessions from the databases of ADK's own services."""

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from google.adk.sessions import _session_util
from google.adk.sessions.base_session_service import BaseSessionService
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService

from treadle import Batch, InvalidValue, Json, Store, Thread
from treadle.integrations._requirements import requires
from treadle.integrations.google_adk._events import as_messages
from treadle.integrations.google_adk._keys import Scope, SessionKeys, user_collection
from treadle.integrations.google_adk._service import TreadleSessionService
from treadle.integrations.importing import (
    Imported,
    Written,
    import_each,
    postgres_url,
    reading,
    sqlite_file,
)

_SHARED: tuple[Scope, ...] = ("app", "user")
_LIST = "SELECT app_name, user_id, id FROM sessions ORDER BY app_name, user_id, id"


async def import_sessions(store: Store, source: str) -> AsyncGenerator[Imported]:
    """Import the sessions of a database of ADK, with their events and their state.

    A session that the store has gets the events that it does not have yet, so an import can be
    repeated. One that went on in the store stays as it is. One that differs fails. State of an app
    or a user that the store has stays as it is.

    Args:
        store: an open store.
        source: a database of `DatabaseSessionService`, as "sqlite:///sessions.db" or
            "postgresql://…", or a file of `SqliteSessionService`.

    Raises:
        InvalidValue: the source is no such database, or cannot be read.
        ImportError: the package that reads it is missing.
    """
    target = TreadleSessionService(store)
    async with _opened(source) as (service, found):

        async def work(keys: SessionKeys, written: Written) -> None:
            app, user, name = keys.app, keys.user, keys.session
            session = await service.get_session(app_name=app, user_id=user, session_id=name)
            if session is not None:  # else it was deleted since it was listed
                stored = await target.get_session(app_name=app, user_id=user, session_id=name)
                await _import_session(store, _stripped(keys), session, stored, written)

        async for imported in import_each(found, _name, work):
            yield imported


async def _import_session(
    store: Store, keys: SessionKeys, session: Session, stored: Session | None, written: Written
) -> None:
    known = [] if stored is None else [event.id for event in stored.events]
    common = min(len(known), len(session.events))
    if [event.id for event in session.events[:common]] != known[:common]:
        raise InvalidValue("session", "the session with this id has other events")
    new = session.events[common:]
    if stored is not None and not new:
        return
    async with store.batch() as step:
        if stored is None:
            step.documents.create(user_collection(keys.app), keys.head, _head(session))
            step.threads.save(Thread(id=keys.thread_id, resource_id=keys.user))
        else:
            step.documents.put(
                user_collection(keys.app), keys.head, _head(session), expected=_revision(stored)
            )
        _put_state(step, keys, session)
        if new:
            messages = [message for event in new for message in as_messages(event)]
            step.threads.append(keys.thread_id, *messages)
    written.is_new = stored is None
    written.items = len(new)


def _put_state(step: Batch, keys: SessionKeys, session: Session) -> None:
    delta = _session_util.extract_json_safe_state_delta(session.state)
    for name, value in delta["session"].items():
        step.documents.put(*keys.of_value("session", name), value)
    for scope in _SHARED:
        for name, value in delta[scope].items():
            step.documents.ensure(*keys.of_value(scope, name), value)


def _head(session: Session) -> Json:
    return {"last_update_time": session.last_update_time}


def _revision(session: Session) -> int:
    # The service sets it on each session that it loads.
    return int(session._storage_update_marker or 0)  # pyright: ignore[reportPrivateUsage]


def _name(keys: SessionKeys) -> str:
    return "/".join(astuple(_stripped(keys)))


def _stripped(keys: SessionKeys) -> SessionKeys:
    """Return the keys that `TreadleSessionService` uses: ids have no spaces around them.

    `DatabaseSessionService` keeps the spaces.
    """
    return replace(keys, session=keys.session.strip())


@asynccontextmanager
async def _opened(source: str) -> AsyncGenerator[tuple[BaseSessionService, list[SessionKeys]]]:
    """Open the source, and list its sessions."""
    path = None if source.startswith("postgres") else sqlite_file(source)
    if path is not None and _is_of_plain_service(path):
        plain = SqliteSessionService(str(path))
        try:
            yield plain, _list(path)
        finally:
            # Before ADK 2.12 it keeps nothing open, and has no such method.
            if (close := getattr(plain, "close", None)) is not None:
                await close()
        return
    with requires("google-adk[db]"):
        from treadle.integrations.google_adk._source import Source, url_of

    if path is not None:
        url = url_of(path)
    elif postgres_url(source) is not None:
        url = f"postgresql+psycopg://{source.partition('://')[2]}"
    else:
        raise InvalidValue("source", "name a database: sqlite:///x.db or postgresql://host/name")
    async with Source(url) as service:
        with reading(source):
            found = _list(path) if path is not None else await _list_by(service)
        yield service, found


def _list(path: Path) -> list[SessionKeys]:
    with _reading(path) as database:
        return [SessionKeys(*row) for row in database.execute(_LIST)]


async def _list_by(service: Any) -> list[SessionKeys]:
    from sqlalchemy import text
    from sqlalchemy.exc import ProgrammingError

    async with service.db_engine.connect() as connection:
        try:
            rows = (await connection.execute(text(_LIST))).all()
        except ProgrammingError as error:
            raise _no_sessions(error) from error
    return [SessionKeys(*row) for row in rows]


def _is_of_plain_service(path: Path) -> bool:
    """Return whether `SqliteSessionService` wrote a file, and not `DatabaseSessionService`."""
    with _reading(path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        columns = {row[1] for row in database.execute("PRAGMA table_info(events)")}
        return "event_data" in columns and "adk_internal_metadata" not in tables


@contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection, None, None]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield database
    except sqlite3.DatabaseError as error:
        raise _no_sessions(error) from error


def _no_sessions(error: Exception) -> InvalidValue:
    return InvalidValue("source", f"it has no sessions of ADK: {error}")
