"""Requests as they come in: headers, bodies in parts, paths, and keys of bodies."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

import treadle
import treadle.http
from tests.http.clients_in_process import client_of
from treadle.http._errors import Refused
from treadle.http._incoming import Headers, Incoming
from treadle.http._operations import OPERATIONS
from treadle.http._routing import Route, Router
from treadle.store.store import Store

MOST = 10


def request_of(
    parts: Iterable[bytes], headers: Iterable[tuple[bytes, bytes]] = (), *, ends: bool = True
) -> Incoming:
    """Return a request whose body comes in parts; its client goes unless it `ends`."""
    some: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    if ends:
        some[-1]["more_body"] = False
    messages = iter(some)

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    scope = {"type": "http", "method": "POST", "headers": list(headers)}
    return Incoming(scope, receive, treadle.http.Limits(body_bytes=MOST))


@pytest.mark.parametrize(
    "parts", [[b""], [b"all"], [b"a", b"", b"ll"], [b"", b"all", b""], [b"0123456789"]]
)
async def test_a_body_is_read_whole(parts: list[bytes]) -> None:
    assert await request_of(parts).whole() == b"".join(parts)


@pytest.mark.parametrize("parts", [[b"0123456789a"], [b"01234", b"56789", b"a"], [b"a"] * 11])
async def test_a_body_that_is_too_large_is_refused(parts: list[bytes]) -> None:
    for read in (Incoming.whole, Incoming.body):  # `authenticate` may read it, as Starlette does
        with pytest.raises(Refused) as caught:
            await read(request_of(parts))
        assert (caught.value.status, caught.value.closes) == (413, True)


async def test_a_body_is_not_read_beyond_the_limit() -> None:
    for read in (Incoming.whole, Incoming.body):
        request = request_of([b"0123456", b"7890123", b"never read"])
        with pytest.raises(Refused):
            await read(request)
        assert (await request.receive())["body"] == b"never read"


async def test_a_body_of_which_too_much_is_announced_is_not_read() -> None:
    request = request_of([b"never read"], [(b"content-length", b"11")])
    with pytest.raises(Refused):
        await request.body()
    assert (await request.receive())["body"] == b"never read"


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    scope = {"type": "http", "method": "POST", "headers": []}
    limits = treadle.http.Limits(body_seconds=0.01)
    request = Incoming(scope, asyncio.Event().wait, limits)  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        await request.body()
    assert caught.value.status == 408


@pytest.mark.parametrize("parts", [[], [b"half"]])
async def test_a_client_that_goes_leaves_no_body(parts: list[bytes]) -> None:
    with pytest.raises(ClientDisconnect):
        await request_of(parts, ends=False).whole()


async def test_a_body_that_was_read_before_is_read_again() -> None:
    request = request_of([b"a", b"ll"])
    assert await request.body() == b"all"
    assert await request.whole() == b"all"
    other = request.with_headers([(b"a", b"1")])
    assert (await other.body(), other.given.first(b"a")) == (b"all", "1")


async def test_a_request_with_other_headers_reads_the_body_for_both() -> None:
    request = request_of([b"a", b"ll"])
    assert await request.with_headers([]).body() == b"all"
    assert await request.whole() == b"all"


async def test_a_header_has_its_values_in_their_order() -> None:
    once = Headers([(b"a", b"1"), (b"b", b"\xe9")])
    assert (once.first(b"a"), once.all(b"b"), once.first(b"c"), once.all(b"c")) == (
        "1",
        ["é"],
        None,
        [],
    )
    twice = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert (twice.first(b"a"), twice.all(b"a"), twice.all(b"b")) == ("1", ["1", "3"], ["2"])


def test_every_operation_is_found_by_its_path() -> None:
    router = Router(OPERATIONS)
    for operation in OPERATIONS:
        segments = [
            "x" if segment.startswith("{") else segment for segment in operation.path.split("/")[1:]
        ]
        found = router.find(segments)
        assert found is not None
        assert found[operation.method].operation is operation


def test_a_literal_that_leads_nowhere_may_be_an_id() -> None:
    router = Router(OPERATIONS)
    segments = ["v1", "threads", "summaries", "messages"]
    found = router.find(segments)
    assert found is not None
    assert found["GET"].name == "GET /v1/threads/{thread_id}/messages"
    assert found["GET"].ids_in(segments) == {"thread_id": "summaries"}
    for unknown in (
        [],
        [""],
        ["v1"],
        ["v1", "threads", "summaries", "none"],
        ["v1", "threads", ""],
    ):
        routes = router.find(unknown)
        assert routes is None or unknown[-1] == ""  # an empty id is refused later


def test_a_route_knows_where_its_parameters_are() -> None:
    (operation,) = [each for each in OPERATIONS if each.path == "/v1/entries/{entry_id}"]
    route = Route.to(operation)
    assert route.ids_in(["v1", "entries", "e"]) == {"entry_id": "e"}
    assert (route.name, route.is_safe) == ("GET /v1/entries/{entry_id}", True)


@pytest.fixture
async def ops(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(store, treadle.http.admin("ops")) as client:
        yield client


MARKERS = [b'"<extra>"', b'"\\u003cextra>"', b'"\\u003Cextra\\u003E"', b'"<\\u0065xtra>"']
"""The name that `extra` has inside, as a client can write it."""


@pytest.mark.parametrize("marker", MARKERS)
async def test_a_key_with_the_inner_name_of_extra_is_one_like_others(
    ops: httpx.AsyncClient, store: Store, marker: bytes
) -> None:
    json = {"content-type": "application/json"}
    unknown = b'{"payload": 1, %s: {"origin": "internal"}}' % marker
    answer = await ops.post("/v1/mailboxes/m/entries", content=unknown, headers=json)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_value")

    await store.threads.create(treadle.Thread(id="t"))
    message = b'{"role": "user", "content": "x", %s: {"y": 1}}' % marker
    body = b'{"messages": [%s]}' % message
    answer = await ops.post("/v1/threads/t/changes", content=body, headers=json)
    assert answer.status_code == 200
    (loaded,) = (await store.threads.list_messages("t")).messages
    assert loaded.message.extra == {"<extra>": {"y": 1}}


@pytest.mark.parametrize("more", [b"", b" \n", b"\t\r\n"])
async def test_fields_of_others_are_kept_and_white_space_is_not(
    ops: httpx.AsyncClient, store: Store, more: bytes
) -> None:
    await store.threads.create(treadle.Thread(id="t"))
    body = more + b'{"messages": [{"role": "user", "content": "x", "ours": [1]}]}' + more
    json = {"content-type": "application/json"}
    assert (await ops.post("/v1/threads/t/changes", content=body, headers=json)).status_code == 200
    (loaded,) = (await store.threads.list_messages("t")).messages
    assert loaded.message.extra == {"ours": [1]}
    answer = await ops.post("/v1/threads/t/changes", content=body + b"x", headers=json)
    assert answer.status_code == 400
    assert "Extra data" in answer.json()["error"]


async def test_the_place_of_a_new_thing_is_encoded(ops: httpx.AsyncClient) -> None:
    for id, place in (("a b/c", None), ("é:1", "%C3%A9%3A1"), ("a.b-c_d", "a.b-c_d")):
        answer = await ops.post("/v1/threads", json={"id": id})
        assert answer.headers.get("location") == place
