"""The keys of documents, and the id of the thread, that belong to a session."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from google.adk.sessions.state import State

from treadle import Document
from treadle.integrations._document_pages import NOBODY, Key
from treadle.integrations._ids import joined_id

Scope = Literal["app", "user", "session"]
"""Who shares a value of the state."""

SCOPES: tuple[Scope, ...] = ("app", "user", "session")

_STATE = "state"
_SESSIONS = "sessions"
APP_STATE: Key = (NOBODY, _STATE)
"""The prefix of an app's state, which is no user's."""


def user_collection(app: str) -> str:
    """Return the collection of the documents of an app's users; their ids begin the keys."""
    return joined_id("adk", app)


def app_collection(app: str) -> str:
    """Return the collection of an app's state."""
    return joined_id("adk-app", app)


def sessions(user: str) -> Key:
    """Return the prefix of a user's sessions and their state."""
    return (user, _SESSIONS)


def user_state(user: str) -> Key:
    """Return the prefix of a user's state."""
    return (user, _STATE)


@dataclass(frozen=True)
class SessionKeys:
    """The keys that belong to a session."""

    app: str
    user: str
    session: str

    @property
    def head(self) -> Key:
        """The document whose version is the revision of the session; its state is below it."""
        return (*sessions(self.user), self.session)

    @property
    def thread_id(self) -> str:
        """The thread of its events."""
        return joined_id("adk", self.app, self.user, self.session)

    def of_value(self, scope: Scope, name: str) -> tuple[str, Key]:
        """Return the collection and the key of a value of the state."""
        if scope == "app":
            return app_collection(self.app), (*APP_STATE, name)
        prefix = user_state(self.user) if scope == "user" else self.head
        return user_collection(self.app), (*prefix, name)


def values(documents: Iterable[Document]) -> dict[str, Any]:
    """Return the state that documents hold, by its keys without the prefix of their scope."""
    return {document.key[-1]: document.value for document in documents}


def merged(app: dict[str, Any], user: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    """Return the state that an agent sees."""
    return {
        **session,
        **{State.APP_PREFIX + name: value for name, value in app.items()},
        **{State.USER_PREFIX + name: value for name, value in user.items()},
    }


class Listed:
    """The sessions and states of users, sorted out of a listing of all their documents."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.heads: list[Document] = []
        self._user_states: dict[str, dict[str, Any]] = {}
        self._session_states: dict[Key, dict[str, Any]] = {}
        for document in documents:
            self._add(document)

    def _add(self, document: Document) -> None:
        match document.key:
            case (_, kind, _) if kind == _SESSIONS:
                self.heads.append(document)
            case (user, kind, session, name) if kind == _SESSIONS:
                states = self._session_states.setdefault((user, session), {})
                states[name] = document.value
            case (user, kind, name) if kind == _STATE:
                self._user_states.setdefault(user, {})[name] = document.value
            case _:
                pass  # somebody else wrote it

    def state(self, app: dict[str, Any], head: Document) -> dict[str, Any]:
        """Return the state that an agent sees in a session."""
        user, _, session = head.key
        own = self._session_states.get((user, session), {})
        return merged(app, self._user_states.get(user, {}), own)
