"""The session service."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import chain
from operator import attrgetter
from typing import Any, Literal
from weakref import WeakValueDictionary

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.platform import time as adk_time
from google.adk.platform import uuid as adk_uuid
from google.adk.sessions import _session_util
from google.adk.sessions.base_session_service import (
    BaseSessionService,
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.session import Session

from treadle import (
    AlreadyExists,
    Batch,
    CorruptRecord,
    Document,
    InvalidValue,
    Json,
    MailboxEntry,
    NotFound,
    Store,
    Thread,
    VersionConflict,
)
from treadle.backends.cancellation import shielded
from treadle.integrations._open_stores import awaited_store
from treadle.integrations.google_adk._events import as_event, as_messages, is_event
from treadle.integrations.google_adk._keys import (
    APP_STATE,
    SCOPES,
    Listed,
    SessionKeys,
    app_collection,
    merged,
    sessions,
    user_collection,
    user_state,
    values,
)
from treadle.integrations.google_adk._reading import every, last_event, load

_ID = attrgetter("id")

OnStale = Literal["raise", "append"]
"""What to do with an event for a session that somebody else has changed since it was loaded."""


class TreadleSessionService(BaseSessionService):
    """A session service of ADK that keeps sessions in a store.

    A session has a real revision: an event for a session that somebody else, in any process, has
    changed since it was loaded is refused with `StaleSessionError`, and nothing is written. Each
    key of the state is a document of its own, so two sessions that change different keys of `app:`
    or `user:` lose nothing; of two that change the same key, the later one wins.

    An event and the changes of state in it are one commit, which is durable when `append_event`
    returns.

    Args:
        store: an open store; it stays open.
        on_stale: "raise" refuses an event for a session that has changed. "append" appends it all
            the same: for a second writer that does not depend on what it has read, such as a
            compaction in the background. Its session object lacks the events of others.
        hold: a claimed entry of a mailbox, such as `delivery.entry` of a worker. Each write raises
            `ClaimConflict`, and writes nothing, once the claim is lost.
    """

    def __init__(
        self, store: Store, *, on_stale: OnStale = "raise", hold: MailboxEntry | None = None
    ) -> None:
        if on_stale not in ("raise", "append"):
            raise ValueError(f"on_stale must be 'raise' or 'append', not {on_stale!r}")
        self._store = awaited_store(store)
        self._refuses_stale = on_stale == "raise"
        self._hold = hold
        self._locks: WeakValueDictionary[SessionKeys, asyncio.Lock] = WeakValueDictionary()

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Create a session.

        Raises:
            AlreadyExistsError: there is one with this id.
        """
        store = await self._open_store()
        name = (session_id or "").strip() or adk_uuid.new_uuid()
        keys = SessionKeys(app_name, user_id, name)
        now = adk_time.get_time()
        delta = _session_util.extract_json_safe_state_delta(state or {})
        try:
            async with self._batch(store) as step:
                created = step.documents.create(user_collection(app_name), keys.head, _head(now))
                _put_state(step, keys, delta)
                # It replaces a thread that an interrupted erasure may have left.
                step.threads.save(Thread(id=keys.thread_id, resource_id=user_id))
        except AlreadyExists as error:
            raise AlreadyExistsError(f"Session with id {name} already exists.") from error
        app, user = await every(
            store,
            (app_collection(app_name), APP_STATE),
            (user_collection(app_name), user_state(user_id)),
        )
        seen = merged(values(app), values(user), delta["session"])
        return _session(keys, created.result.version, now, seen)

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> Session | None:
        """Load a session; None if it does not exist, or has an id that cannot be stored.

        Args:
            app_name: the app.
            user_id: the user.
            session_id: the session.
            config: which events: the most recent ones, or those from a time on (inclusive).
        """
        keys = SessionKeys(app_name, user_id, session_id.strip())
        try:
            loaded = await load(await self._open_store(), keys, config)
        except (NotFound, InvalidValue):
            return None  # no thread: nobody has created it, or somebody erases the user
        if loaded is None:
            return None
        events = [as_event(each, keys.thread_id) for each in loaded.messages if is_event(each)]
        if config is not None and config.after_timestamp is not None:
            events = [each for each in events if each.timestamp >= config.after_timestamp]
        state = merged(*map(values, (loaded.app_state, loaded.user_state, loaded.own_state)))
        head = loaded.head
        return _session(keys, head.version, _updated_at(head), state, events)

    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """List the sessions of a user, or of all users, without their events.

        The session that was changed last comes last.
        """
        store = await self._open_store()
        prefixes = [()] if user_id is None else [sessions(user_id), user_state(user_id)]
        users = user_collection(app_name)
        app, *parts = await every(
            store, (app_collection(app_name), APP_STATE), *((users, prefix) for prefix in prefixes)
        )
        listed, app_state = Listed(chain(*parts)), values(app)
        found = [
            _session(
                SessionKeys(app_name, head.key[0], head.key[2]),
                head.version,
                _updated_at(head),
                listed.state(app_state, head),
            )
            for head in listed.heads
        ]
        found.sort(key=lambda each: (each.last_update_time, each.user_id, each.id))
        return ListSessionsResponse(sessions=found)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session with its events and state; one that does not exist is not an error."""
        store = await self._open_store()
        keys = SessionKeys(app_name, user_id, session_id.strip())
        with suppress(InvalidValue):  # no session can have such an id
            async with self._batch(store) as step:
                step.documents.delete(user_collection(app_name), keys.head)
                step.documents.delete_range(user_collection(app_name), prefix=keys.head)
                step.threads.delete(keys.thread_id)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Read the state that all sessions of a user share; its keys are without `user:`."""
        store = await self._open_store()
        [found] = await every(store, (user_collection(app_name), user_state(user_id)))
        return values(found)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Append an event, and change the state as it says, in one commit.

        A partial event is not stored, nor one that the session has already. A cancelled caller
        waits until its write has ended, so the session has the event if the store has it.

        Raises:
            SessionNotFoundError: the session does not exist.
            StaleSessionError: somebody else has changed the session since it was loaded. Nothing
                was written: load it again.
        """
        keys = SessionKeys(session.app_name, session.user_id, session.id)
        # Tasks of one invocation share a session; each needs the revision that the last one made.
        async with self._locks.setdefault(keys, asyncio.Lock()):
            if event.partial or _has(session, event):
                return event
            return await shielded(self._append(session, event, keys))

    async def _append(self, session: Session, event: Event, keys: SessionKeys) -> Event:
        """Append an event to a session and to what the store has of it."""
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        version = await self._store_event(session, event, keys)
        session.last_update_time = event.timestamp
        _set_revision(session, version)
        return self._commit_event_to_session(session, event)

    async def _store_event(self, session: Session, event: Event, keys: SessionKeys) -> int:
        """Append an event; return the new revision of its session."""
        store = await self._open_store()
        users = user_collection(session.app_name)
        delta = _session_util.extract_json_safe_state_delta(event.actions.state_delta)
        try:
            expected = await _revision(store, session, keys) if self._refuses_stale else None
            async with self._batch(store) as step:
                if expected is None:
                    step.documents.check(users, keys.head)
                updated = _head(event.timestamp)
                head = step.documents.put(users, keys.head, updated, expected=expected)
                _put_state(step, keys, delta)
                step.threads.append(keys.thread_id, *as_messages(event))
        except NotFound as error:
            raise SessionNotFoundError(f"Session {session.id} not found.") from error
        except VersionConflict as error:
            if error.actual == 0:
                raise SessionNotFoundError(f"Session {session.id} not found.") from error
            raise _stale(session) from error
        return head.result.version

    @asynccontextmanager
    async def _batch(self, store: Store) -> AsyncGenerator[Batch]:
        async with store.batch() as step:
            if self._hold is not None:
                step.mailboxes.hold(self._hold)
            yield step

    async def _open_store(self) -> Store:
        return self._store


def _has(session: Session, event: Event) -> bool:
    """Return whether a session has an event; ids are looked through first, as it seldom has."""
    if event.id not in map(_ID, session.events):
        return False
    return any(e.id == event.id and e == event for e in session.events)


async def _revision(store: Store, session: Session, keys: SessionKeys) -> int:
    """Return the revision that a session was loaded at.

    A session that was not made by this service has none: it is current if it is as new as the
    stored one, or has the same last event.
    """
    marker = session._storage_update_marker  # pyright: ignore[reportPrivateUsage] - see below
    if marker is not None:
        return int(marker)
    head, page = await last_event(store, keys)
    if head is None:
        raise SessionNotFoundError(f"Session {session.id} not found.")
    stored = [as_event(each, keys.thread_id).id for each in page.messages]
    if _updated_at(head) > session.last_update_time and stored != [
        event.id for event in session.events[-1:]
    ]:
        raise _stale(session)
    return head.version


def _stale(session: Session) -> StaleSessionError:
    return StaleSessionError(
        f"Session {session.id} has been modified in storage since it was loaded; load it again."
    )


def _put_state(step: Batch, keys: SessionKeys, delta: dict[str, dict[str, Json]]) -> None:
    for scope in SCOPES:
        for name, value in delta[scope].items():
            step.documents.put(*keys.of_value(scope, name), value)


def _head(updated_at: float) -> Json:
    return {"last_update_time": updated_at}


def _updated_at(head: Document) -> float:
    match head.value:
        case {"last_update_time": int(time) | float(time)}:
            return float(time)
        case _:
            where = f"the session at {head.key!r} in collection {head.collection!r}"
            raise CorruptRecord(
                where, "it has no last_update_time", "find out which program wrote it"
            )


def _session(
    keys: SessionKeys,
    version: int,
    updated_at: float,
    state: dict[str, Any],
    events: list[Event] | None = None,
) -> Session:
    session = Session(
        app_name=keys.app,
        user_id=keys.user,
        id=keys.session,
        state=state,
        events=events or [],
        last_update_time=updated_at,
    )
    _set_revision(session, version)
    return session


def _set_revision(session: Session, version: int) -> None:
    # Made for services: ADK's own keep their revisions in it, and a copy of a session has it, too.
    session._storage_update_marker = str(version)  # pyright: ignore[reportPrivateUsage]
