"""The HTTP API of a store and its dashboard, as ASGI applications; the extra is `http`."""

from collections.abc import Collection

from treadle.http._app import App, Audit, Audited
from treadle.http._call import Redact, show_all
from treadle.http._dashboard import Dashboard
from treadle.http._operations import OPERATIONS
from treadle.http._principals import (
    ALL_OWNERS,
    Action,
    AllOwners,
    Authenticate,
    Principal,
    admin,
    chat_user,
    everyone,
    operator,
    tokens,
    trusted_header,
    user,
    viewer,
    worker,
)
from treadle.http._security import LOOPBACK
from treadle.http._serving import end_streams_on_signals, serve
from treadle.http._settings import Limits
from treadle.store.store import Store

__all__ = [
    "ALL_OWNERS",
    "LOOPBACK",
    "Action",
    "AllOwners",
    "App",
    "Audit",
    "Audited",
    "Authenticate",
    "Dashboard",
    "Limits",
    "Principal",
    "Redact",
    "admin",
    "app",
    "chat_user",
    "dashboard",
    "end_streams_on_signals",
    "everyone",
    "operator",
    "serve",
    "tokens",
    "trusted_header",
    "user",
    "viewer",
    "worker",
]


def app(
    store: Store,
    *,
    authenticate: Authenticate,
    hosts: Collection[str] = LOOPBACK,
    read_only: bool = False,
    limits: Limits | None = None,
    audit: Audit | None = None,
) -> App:
    """Return the HTTP API of a store, to be served, or mounted under any path.

    The caller opens and closes the store, in the event loop that serves: a mounted application gets
    no lifespan of its own.

    Args:
        store: the store.
        authenticate: returns who makes a request: `tokens`, `trusted_header`, `everyone`, or any
            function of a Starlette `Request`, async or not. None refuses the request.
        hosts: the names that the server answers to, without ports; "*" is all, for a server behind
            a proxy that checks them.
        read_only: refuse all requests that change something.
        limits: the limits of what clients can send.
        audit: is called with each request that changes something or is refused. If it raises, the
            answer is 500. None: there is no audit.
    """
    return App(
        store,
        OPERATIONS,
        authenticate=authenticate,
        hosts=hosts,
        read_only=read_only,
        limits=limits or Limits(),
        audit=audit,
    )


def dashboard(
    store: Store,
    *,
    authenticate: Authenticate,
    hosts: Collection[str] = LOOPBACK,
    read_only: bool = False,
    limits: Limits | None = None,
    audit: Audit | None = None,
    redact: Redact = show_all,
) -> Dashboard:
    """Return the dashboard of a store, to be served, or mounted under any path.

    A visitor whom `authenticate` does not know gets a page to log in, with a token that it knows as
    that of a bearer; the browser keeps it in a cookie for these pages. An owner sees only what is
    theirs.

    Args:
        store: the store; as for `app`, it is not closed here.
        authenticate: as for `app`.
        hosts: as for `app`.
        read_only: refuse all actions, and show none.
        limits: as for `app`.
        audit: as for `app`.
        redact: returns what is shown instead of a value: of a payload, a message, a state, a
            document, an error, a name, but not of ids and keys of documents. It gets the kind
            and the whole value, and should be fast.
    """
    return Dashboard(
        store,
        authenticate=authenticate,
        hosts=hosts,
        read_only=read_only,
        limits=limits or Limits(),
        audit=audit,
        redact=redact,
    )
