"""Treadle's applications in one of somebody else, in another process, and how it stops."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

import treadle
from tests.http.test_serving import LAST_CHUNK, stream
from treadle import http

SERVICE = """
import asyncio
from contextlib import asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

import treadle
from treadle import http

store = treadle.open_store("memory:")
everyone = http.everyone(http.admin("local"))
api = http.app(store, authenticate=everyone)
dashboard = http.dashboard(store, authenticate=everyone)


@asynccontextmanager
async def lifespan(app):
    with {within}:
        async with store:
            await store.threads.create(treadle.Thread(id="t"))
            yield
    print("closed", flush=True)


async def hello(request):
    return PlainTextResponse("hello")


async def lines():
    yield "data: first\\n\\n"
    async for item in store.threads.follow("t", live=True):
        yield "data: item\\n\\n"


async def own(request):
    return StreamingResponse(lines(), media_type="text/event-stream")


mounted = [Mount("/agents", api), Mount("/pages", dashboard)]
routes = [Route("/own", own), Route("/hello", hello), *mounted]
app = Starlette(routes=routes, lifespan=lifespan)

if __name__ == "__main__":
    asyncio.run(http.serve(app, mounted=[api, dashboard, store], port=0, on_start=print_url))
"""
"""A service with a store of its own, which its lifespan opens and closes."""

PATHS = ["/agents/v1/threads/t/events", "/agents/v1/events", "/pages/threads/t/stream", "/own"]


@contextmanager
def running(
    path: Path, within: str, *command: str
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run the service with a command; yields it and its URL."""
    print_url = "lambda url: print(url, flush=True)"
    text = SERVICE.replace("{within}", within).replace("print_url", print_url)
    (path / "service.py").write_text(text)
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield child, _read_url(child)
    finally:
        child.kill()
        child.communicate()


def _read_url(child: "subprocess.Popen[str]") -> str:
    lines = []
    for line in child.stdout or ():
        lines.append(line)
        if found := re.search(r"http://[\d.]+:\d+", line):
            return found[0]
    raise AssertionError("".join(lines))


@pytest.mark.parametrize(
    ("within", "command"),
    [
        pytest.param("nullcontext()", ["service.py"], id="by-treadle"),
        pytest.param(
            "http.end_streams_on_signals(api, dashboard, store)",
            ["-m", "uvicorn", "service:app", "--port", "0"],
            id="by-uvicorn",
        ),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_mounted_ends_its_streams_before_the_server_waits_for_them(
    tmp_path: Path, within: str, command: list[str], number: signal.Signals
) -> None:
    with running(tmp_path, within, *command) as (child, url):
        async with httpx.AsyncClient(base_url=url, timeout=30) as client, AsyncExitStack() as open_:
            assert (await client.get("/hello")).text == "hello"
            waiting = asyncio.create_task(
                client.post("/agents/v1/claims", json={"consumer": "w", "wait_ms": 30_000})
            )
            readers = [await stream(url, open_, path) for path in PATHS]
            # A server cuts off what goes on, or waits for it without an end. These have an end.
            child.send_signal(number)
            assert all([(await reader.read()).endswith(LAST_CHUNK) for reader in readers])
            assert (await waiting).json() == []
            await asyncio.to_thread(child.wait, 30)
            assert "closed" in child.stdout.read()  # type: ignore[union-attr]


async def test_an_application_of_somebody_else_must_say_what_is_mounted_in_it() -> None:
    async with treadle.open_store("memory:") as store:
        authenticate = http.everyone(http.admin("local"))
        api = http.app(store, authenticate=authenticate)
        dashboard = http.dashboard(store, authenticate=authenticate)
        with pytest.raises(TypeError, match=r"mounted=\[api\]"):
            await http.serve(Starlette())
        with pytest.raises(TypeError, match="mount the dashboard in it"):
            await http.serve(Starlette(), mounted=[api], dashboard=dashboard)
        with pytest.raises(TypeError, match=r"treadle\.http\.app"):
            await http.serve(api, mounted=[Starlette()])  # type: ignore[list-item]


async def test_the_signals_are_those_of_before_when_the_block_ends() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with http.end_streams_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


async def test_what_is_neither_an_application_nor_a_store_is_refused() -> None:
    with pytest.raises(TypeError, match="or a store"), http.end_streams_on_signals(Starlette()):  # type: ignore[arg-type]
        raise AssertionError


async def test_a_lifespan_in_another_thread_has_no_signals_and_no_error() -> None:
    async def lifespan() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with http.end_streams_on_signals():
            assert signal.getsignal(signal.SIGTERM) is before

    await asyncio.to_thread(asyncio.run, lifespan())
