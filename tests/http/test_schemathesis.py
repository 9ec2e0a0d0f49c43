"""schemathesis reads the OpenAPI document, and tries to break what it says.

A minute with the tests, ten with the long ones; the seed is fixed.
"""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from starlette.types import Receive, Scope, Send

import treadle
from treadle import http as treadle_http
from treadle.http._openapi import operation_id
from treadle.http._operation import EVENTS
from treadle.http._operations import OPERATIONS

TOKEN = "token-of-the-tests-0123456789"

STREAMS = [operation_id(each) for each in OPERATIONS if EVENTS in each.answers.values()]
"""They have no end; `test_streams.py` reads them."""

STRICTER = {
    "/v1/search/threads": "a cursor is a text that only the server makes",
    "/v1/search/runs": "the same",
    "/v1/search/entries": "the same",
    "/v1/search/mailboxes": "the same",
    "/v1/mailboxes/{mailbox_id}/entries": "the same",
    "/v1/runs": "a parameter has two names, and one of them may be given",
    "/v1/batch": "what a command needs depends on which it is",
    "/v1/purge/entries": "only entries that have ended can be purged",
    "/v1/threads/{thread_id}/changes": "an append cuts nothing off",
    "/v1/collections": "a prefix has no control characters",
    "/v1/collections/{collection}/document": "keys are measured in bytes, and not empty",
    "/v1/collections/{collection}/documents": "the same",
    "/v1/collections/{collection}/document/touch": "the same",
    "/v1/runs/{run_id}/inputs": "messages or decisions are given, and a run may be over",
    "/v1/claims": "a mailbox is named, or prefixes, and these must leave some id",
    "/v1/threads/{thread_id}/truncate": "either `keep` or `drop` is given",
}
"""Operations that refuse some of what their schema lets pass, and why."""

FLOAT = re.compile(r"[ :\[]-?\d+\.0\b")
"""1.0, which a JSON schema takes for an integer. The store keeps 1 and 1.0 apart."""

INTEGER = re.compile(r"[ :\[](-?\d{19,})(?![\d.eE])")


def is_beyond_64_bits(request: str) -> bool:
    """Whether a request has an integer that is refused, as docs/reference says.

    The schema cannot: for JSON schema 1e300 is an integer, too, and the store keeps that.
    """
    return any(not -(2**63) <= int(each) < 2**64 for each in INTEGER.findall(request))


CONFIG = """
seed = 7
continue-on-failure = true
[auth.openapi.bearer]
bearer = "{token}"
[output.sanitization]
enabled = false
[generation]
deterministic = true
max-examples = {examples}
database = "none"
[phases.fuzzing]
enabled = {fuzzing}
[phases.stateful]
max-steps = 8
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 410]
"""
EXCEPTION = """
[[operations]]
include-path = "{path}"
[operations.checks.positive_data_acceptance]
enabled = false
"""


class OnItsLoop:
    """Calls an application on one event loop, whichever loop a client has."""

    def __init__(self, app: treadle_http.App, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        here = asyncio.get_running_loop()

        async def receive_there() -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_of(receive), here))

        async def send_there(message: Any) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_of(send, message), here))

        answered = self._app(scope, receive_there, send_there)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answered, self._loop))


async def _of(function: Any, *arguments: Any) -> Any:
    return await function(*arguments)


@contextmanager
def served() -> Iterator[OnItsLoop]:
    """The API of a store in memory, on a loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    store = treadle.open_store("memory:")
    try:
        asyncio.run_coroutine_threadsafe(store.open(), loop).result()
        authenticate = treadle_http.tokens({TOKEN: treadle_http.admin("ops")})
        app = treadle_http.app(store, authenticate=authenticate, hosts="*")
        app.streams.end()  # so that no claim waits
        yield OnItsLoop(app, loop)
    finally:
        asyncio.run_coroutine_threadsafe(store.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def failures_of(config: str, seconds: float) -> tuple[list[str], int]:
    """Run schemathesis for a while, and return what failed and how many requests were made."""
    config += "".join(EXCEPTION.format(path=path) for path in STRICTER)
    failed: list[str] = []
    requests = 0
    end = time.monotonic() + seconds
    with served() as app:
        schema = schemathesis.openapi.from_asgi(
            "/openapi.json", app, config=SchemathesisConfig.from_str(config)
        )
        for event in from_schema(schema.exclude(operation_id=STREAMS)).execute():
            if isinstance(event, events.ScenarioFinished):
                requests += len(event.recorder.interactions)
                failed += [
                    f"{event.phase.value} {event.label}: {check.name}: "
                    f"{check.failure_info.failure}\n{check.failure_info.code_sample}"
                    for checks in event.recorder.checks.values()
                    for check in checks
                    if check.failure_info is not None
                    and not FLOAT.search(check.failure_info.code_sample)
                    and not (
                        check.name == "positive_data_acceptance"
                        and is_beyond_64_bits(check.failure_info.code_sample)
                    )
                ]
            elif isinstance(event, events.NonFatalError | events.FatalError):
                failed.append(f"{event}")
            if time.monotonic() > end:
                break
    return failed, requests


def test_schemathesis_finds_nothing() -> None:
    config = CONFIG.format(token=TOKEN, examples=2, fuzzing="false")
    failed, requests = failures_of(config, 50)
    assert not failed, "\n\n".join([f"{len(failed)} failures", *failed[:8]])
    assert requests > 500


@pytest.mark.soak
def test_schemathesis_finds_nothing_in_ten_minutes() -> None:
    config = CONFIG.format(token=TOKEN, examples=200, fuzzing="true")
    failed, requests = failures_of(config, 600)
    assert not failed, "\n\n".join([f"{len(failed)} failures", *failed[:8]])
    assert requests > 5000
