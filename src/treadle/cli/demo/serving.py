"""The dashboard of the demo: its store in a browser, while the agents answer and afterwards."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import treadle
from treadle import http
from treadle.cli.terminal.notes import write_note

T = TypeVar("T")


async def serve_meanwhile(url: str, playing: Coroutine[Any, Any, T]) -> T:
    """Serve the dashboard of a store until SIGTERM or SIGINT; return the result of `playing`.

    Raises:
        KeyboardInterrupt: the signal came before the end of `playing`, which is cancelled.
    """
    async with treadle.open_store(url, migrate=True) as store:
        authenticate = http.everyone(http.admin("local"))
        serving = asyncio.create_task(
            http.serve(
                http.app(store, authenticate=authenticate),
                dashboard=http.dashboard(store, authenticate=authenticate),
                port=0,
                on_start=_say_where,
            )
        )
        task = asyncio.create_task(playing)
        try:
            await asyncio.wait({task, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not task.done():
                raise KeyboardInterrupt
            result = await task
            await serving
            return result
        finally:
            for each in (task, serving):
                each.cancel()
            await asyncio.gather(task, serving, return_exceptions=True)


def _say_where(address: str) -> None:
    write_note(f"treadle: the dashboard is at {address} until you press Ctrl-C")
