"""The HTTP API of a store, as an ASGI application; `pip install treadle[http]`."""

from collections.abc import Collection

from treadle.http._app import App, Audit, Audited
from treadle.http._operations import OPERATIONS
from treadle.http._principals import (
    ALL_OWNERS,
    Action,
    AllOwners,
    Authenticate,
    Principal,
    admin,
    everyone,
    operator,
    tokens,
    trusted_header,
    user,
    viewer,
    worker,
)
from treadle.http._security import LOOPBACK
from treadle.http._serving import serve
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
    "Limits",
    "Principal",
    "admin",
    "app",
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
    audit: Audit = lambda _: None,
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
            answer is 500.
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
