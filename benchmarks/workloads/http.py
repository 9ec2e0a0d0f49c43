"""The HTTP API in process, beside the same store call and a bare Starlette route."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

import treadle
from benchmarks.measure import medians_in_turn
from benchmarks.peers.base import Subject
from benchmarks.peers.treadle_store import TreadleThreads
from benchmarks.requests import request
from benchmarks.sizes import Sizes
from benchmarks.tables import Column, Row
from benchmarks.texts import text, texts
from benchmarks.workloads.base import Task, Workload, opened, title_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TOKEN = "token-of-the-benchmark"
PAGE = 50


class Case(NamedTuple):
    """A request, and the call of the store that answers it."""

    name: str
    method: str
    path: str
    query: str
    body: Callable[[int], Any] | None
    call: Callable[[treadle.Store, int], Awaitable[object]]


def _message(number: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text(number)}]}


CASES = (
    Case(
        "send",
        "POST",
        "/v1/mailboxes/m/entries",
        "",
        lambda number: {"payload": text(number)},
        lambda store, number: store.mailboxes.send("m", text(number)),
    ),
    Case(
        "append",
        "POST",
        "/v1/threads/grows/changes",
        "",
        _message,
        lambda store, number: store.threads.append(
            "grows", treadle.Message(role="user", content=text(number))
        ),
    ),
    Case(
        "page of 50",
        "GET",
        "/v1/threads/long/messages",
        f"order=desc&limit={PAGE}",
        None,
        lambda store, number: store.threads.list_messages("long", order="desc", limit=PAGE),
    ),
    Case(
        "heads",
        "GET",
        "/v1/search/threads",
        "by=updated_at&order=desc&limit=20",
        None,
        lambda store, number: store.threads.list_summaries(by="updated_at", order="desc", limit=20),
    ),
)


def work(sizes: Sizes) -> str:
    """Describe the work."""
    return (
        f"{sizes.requests:,} requests of each kind to the application in process, with a token; "
        "in turn with the same call of the store, and with a bare Starlette route that reads the "
        "body and returns the same bytes"
    )


def columns(sizes: Sizes) -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("per_second", "a second"),
        Column("median", "median, µs"),
        Column("store", "store call, µs"),
        Column("bare", "bare route, µs"),
        Column("above", "above both, µs"),
    )


async def measure(kind: type[Subject], task: Task) -> list[Row]:
    """Measure a store."""
    import treadle.http  # the children that measure something else do not need it

    folder = Path(task.folder) / "store"
    async with opened(cast("type[TreadleThreads]", kind), folder, task.store) as subject:
        store = subject.opened
        texts(task.sizes.requests)  # created before anything is timed
        await subject.start("grows")
        await subject.start("long", [text(number) for number in range(PAGE)])
        for number in range(20):
            await subject.start(f"t{number}")
        authenticate = treadle.http.tokens({TOKEN: treadle.http.admin("bench")})
        app = treadle.http.app(store, authenticate=authenticate)
        durability = subject.durability()
        return [
            Row(
                who=f"{title_of(kind, task)}: {case.name}",
                durability=durability,
                figures=await _figures(case, store, app, task.sizes.requests),
            )
            for case in CASES
        ]


async def _figures(case: Case, store: treadle.Store, app: Any, times: int) -> dict[str, float]:
    from starlette.applications import Starlette
    from starlette.routing import Route

    answer = await _request(app, case, 0)
    bare = Starlette(routes=[Route(case.path, _bare(answer), methods=[case.method])])

    async def call(number: int) -> None:
        await case.call(store, number)  # is made in here, as the call of a request is

    median, called, bare_median = await medians_in_turn(
        times,
        lambda number: _request(app, case, number),
        call,
        lambda number: _request(bare, case, number),
    )
    return {
        "per_second": 1e6 / median,
        "median": median,
        "store": called,
        "bare": bare_median,
        "above": median - called - bare_median,
    }


def _bare(answer: bytes) -> "Callable[[Request], Awaitable[Response]]":
    from starlette.responses import Response

    async def endpoint(request: "Request") -> Response:
        await request.body()
        return Response(answer, media_type="application/json")

    return endpoint


async def _request(app: Any, case: Case, number: int) -> bytes:
    body = b"" if case.body is None else msgspec.json.encode(case.body(number))
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    if body:
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
    return await request(app, case.method, case.path, case.query, body, headers)


WORKLOAD = Workload(
    name="http",
    about="requests to the HTTP API, beside the store's calls and a bare Starlette route",
    work=work,
    columns=columns,
    subjects=(TreadleThreads,),
    measure=measure,
)
