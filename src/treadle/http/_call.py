"""A call of an operation: what was asked for, by whom, and of which store."""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from treadle.core.codec import Json
from treadle.http._errors import Refused
from treadle.http._incoming import Incoming
from treadle.http._principals import Action, Principal
from treadle.http._rebuilding import Rebuilding
from treadle.http._settings import Limits
from treadle.http._streams import Streams
from treadle.http._thread_checks import ThreadChecks
from treadle.store.store import Store

Redact: TypeAlias = Callable[[str, Json], Json]
"""Returns what pages show instead of a value. The first argument is the kind of the value."""


def show_all(kind: str, value: Json) -> Json:
    """Redact nothing."""
    return value


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was understood, for the function that answers it."""

    store: Store
    principal: Principal
    ids: dict[str, str]
    """The values of the parameters of the path, by name."""
    query: Any
    """The parameters of the query, as `Operation.query`; None if it has none."""
    body: Any
    """The body, as `Operation.body`; None if it has none."""
    request: Incoming
    limits: Limits
    streams: Streams
    """The streams of the server that are open."""
    thread_checks: ThreadChecks
    """How streams look at their threads."""
    rebuilding: Rebuilding
    """How the states of threads are rebuilt."""
    read_only: bool = False
    """Whether the server refuses what changes the store."""
    redact: Redact = show_all
    """What pages of the dashboard call for each value that they show."""

    def can(self, action: Action) -> bool:
        """Return whether the principal may do something."""
        return action in self.principal.can

    def require(self, action: Action) -> None:
        """Refuse the call if the principal may not do something.

        Raises:
            Refused: with 403.
        """
        if not self.can(action):
            raise Refused(403, "forbidden", f"{self.principal.id} may not {action}")
