"""Serving an application with uvicorn, so that it stops within a second."""

import asyncio
import socket
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from treadle.http._app import App
from treadle.http._security import in_url
from treadle.store.store import Store
from treadle.worker.signals import also_on_signals, stop_on_signals

if TYPE_CHECKING:
    import uvicorn

_GRACE_SECONDS = 10
"""How long requests that were begun may go on after a signal to stop."""
_LOOK_SECONDS = 0.5
"""How often the server looks for clients that were cut off."""


async def serve(
    app: ASGIApp,
    *,
    dashboard: App | None = None,
    mounted: Collection[App | Store] = (),
    host: str = "127.0.0.1",
    port: int = 8080,
    root_path: str = "",
    on_start: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve an application with uvicorn until SIGTERM or SIGINT, in the main thread.

    Then streams and waiting claims end at once, other requests are answered for ten seconds at
    most, and it returns. A second signal ends the process.

    Args:
        app: the API, as `treadle.http.app` returns it, or an application of your own in which it is
            mounted. Your own has its lifespan.
        dashboard: the dashboard beside the API, as `treadle.http.dashboard` returns it: it has all
            paths where the API has nothing. In an application of your own, mount it.
        mounted: the API and the dashboard that are mounted in your own application, whose streams
            must end; and an open store, if streams of your own follow it.
        host: the address to listen at; "0.0.0.0" or "::" is all.
        port: the port; 0 is any that is free.
        root_path: the path that a reverse proxy cuts off before it passes requests on, such as
            "/treadle". Links of pages begin with it.
        on_start: is called with the URL when it listens.

    Raises:
        OSError: the address cannot be used.
        TypeError: `app` is your own application, and `mounted` does not say what is mounted in it,
            or `dashboard` is beside it.
        SystemExit: the lifespan of your own application failed, which is logged.
    """
    ending = _treadles_own(app, dashboard, mounted)
    apps = [each for each in ending if isinstance(each, App)]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        served = app if dashboard is None else _Together(cast("App", app), dashboard)
        has_lifespan = not isinstance(app, App)
        server = _new_server(served, apps, root_path, has_lifespan=has_lifespan)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True
            for each in ending:
                loop.call_soon_threadsafe(_end_of(each))

        with stop_on_signals(stop):
            on_start(f"http://{in_url(host)}:{listening.getsockname()[1]}")
            await server.serve([listening])


def _new_server(
    served: ASGIApp, apps: Collection[App], root_path: str, *, has_lifespan: bool
) -> "uvicorn.Server":
    """Return a server that leaves the signals alone, and drops clients that were cut off."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None]:
            """Leave the signals alone: uvicorn would raise them again before the store closes."""
            yield

        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            """Serve, and drop the connections of clients that were cut off."""
            connections = self.server_state.connections
            dropping = asyncio.create_task(_drop_those_cut_off(connections, apps))
            try:
                await super().serve(sockets)
            finally:
                dropping.cancel()

    config = uvicorn.Config(
        served,
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=root_path.rstrip("/"),
        # A forwarded address must not stand for that of the proxy: see `trusted_header`.
        proxy_headers=False,
        lifespan="auto" if has_lifespan else "off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return Server(config)


async def _drop_those_cut_off(connections: Collection[Any], apps: Collection[App]) -> None:
    """Drop connections that close before all of an answer was written.

    Their clients do not read: uvicorn would wait, for ever, until they take the rest. There may be
    thousands of connections, so it looks at them only if a stream was cut off.
    """
    seen, looks = 0, 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        cut_off = sum(each.streams.cut_off for each in apps)
        if cut_off != seen:
            seen, looks = cut_off, 2  # uvicorn closes a connection just after that
        if looks == 0:
            continue
        looks -= 1
        for each in tuple(connections):
            cycle = getattr(each, "cycle", None)
            if each.transport.is_closing() and cycle and not cycle.response_complete:
                each.transport.abort()


@contextmanager
def end_streams_on_signals(*apps: App | Store) -> Generator[None]:
    """End the streams and waiting claims of applications, and followers, at SIGTERM or SIGINT.

    For a server that is not `treadle.http.serve`: enter it in the lifespan of your application.
    Servers wait for open streams before they end the lifespan, so that it would be too late then.
    What the signal did before follows. In another thread than the main one, such as that of a test
    client, it does nothing.

    Args:
        apps: the API and the dashboard that are mounted, as `treadle.http.app` and
            `treadle.http.dashboard` return them. For streams of your own that follow a thread, the
            store that they follow: see `Store.end_followers`.

    Raises:
        TypeError: one of them is something else.
        RuntimeError: no event loop runs here.
    """
    ends = [_end_of(each) for each in apps]
    loop = asyncio.get_running_loop()

    def end() -> None:
        for each in ends:
            loop.call_soon_threadsafe(each)

    with also_on_signals(end):
        yield


def _end_of(streaming: App | Store) -> Callable[[], None]:
    """Return what ends the streams of an application, or what follows a store.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(streaming, App):
        return streaming.streams.end
    if isinstance(streaming, Store):
        return streaming.end_followers
    raise TypeError(f"it must be what treadle.http.app returns, or a store, not {streaming!r}")


def _treadles_own(
    app: ASGIApp, dashboard: App | None, mounted: Collection[App | Store]
) -> list[App | Store]:
    """Return the applications and stores whose streams must end before the server does."""
    for each in mounted:
        _end_of(each)
    if isinstance(app, App):
        return [each for each in (app, dashboard, *mounted) if each is not None]
    if dashboard is not None:
        raise TypeError("app is an application of your own: mount the dashboard in it")
    if not mounted:
        raise TypeError(
            f"app is {type(app).__name__}, not what treadle.http.app returns: "
            "say what is mounted in it, mounted=[api], so that its streams can be ended"
        )
    return list(mounted)


class _Together:
    """An API, and beside it a dashboard; the first segment of a path says whose it is."""

    def __init__(self, app: App, dashboard: App) -> None:
        self._app = app
        self._dashboard = dashboard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_for_api = scope["type"] == "http" and _first_segment(scope) in self._app.first_segments
        app = self._app if is_for_api else self._dashboard
        await app(scope, receive, send)


def _first_segment(scope: Scope) -> str:
    """The first segment of a path, below the one that a proxy has cut off."""
    path, root = scope["path"], scope["root_path"]
    # The path of `OPTIONS *` has no segment.
    return cast("str", path.removeprefix(root).removeprefix("/").partition("/")[0])
