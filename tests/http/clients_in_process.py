"""Clients that call an application in this process, without a socket."""

from typing import Any

import httpx

import treadle.http
from treadle.store.store import Store


def client_of(store: Store, principal: treadle.http.Principal, **options: Any) -> httpx.AsyncClient:
    """Return a client whose requests are all made by one principal."""
    options.setdefault("authenticate", treadle.http.everyone(principal))
    return client(treadle.http.app(store, **options))


def client(app: Any, url: str = "http://localhost") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url=url)
