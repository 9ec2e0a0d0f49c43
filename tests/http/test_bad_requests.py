"""Bad requests get their status and a JSON error, and write nothing.

They are made from the operations, so that a new parameter or field is tried by itself.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

import treadle
from tests.http.clients_in_process import client_of
from treadle import Message, Thread
from treadle import http as treadle_http
from treadle.http._input import allowed_fields
from treadle.http._operation import Operation
from treadle.http._operations import OPERATIONS
from treadle.store.store import Store

JSON = {"content-type": "application/json"}

BAD_IDS = [
    "%00",
    "a%0Ab",
    "a%7Fb",
    "a%2Fb",
    "a%5Cb",
    "a..b",
    "con",
    "NUL.txt",
    "lpt1:x",
    "x" * 201,
    "%C3%A9" * 101,
    "%ED%A0%80",
    "%FF",
]

BAD_INTEGERS = [
    "9223372036854775808",
    "-9223372036854775809",
    "1" * 5000,
    "1e3",
    "1.0",
    "",
    "%201",
    "0x10",
    "1_000",
    "null",
    "true",
    "%EF%BC%91",
]

BAD_BODIES = [
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1, "a": 1}',
    b'{"a": {"b": 1, "b": 2}}',
    b'{"a": 18446744073709551616}',
    b'{"a": "\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"a": "\xff"}',
    b"\xef\xbb\xbf{}",
    '{"a": 1}'.encode("utf-16"),
    b'{"a": ' + b"[" * 101 + b"]" * 101 + b"}",
    b'{"a": ' + b"[" * 100_000,
    b'{"a": 1} {"a": 1}',
    b'{"now": 1}',
    b'{"a": ' + b"1" * 5000 + b"}",
]

BAD_TYPES = [
    {},
    {"content-type": "text/plain"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "multipart/form-data; boundary=x"},
    {"content-type": "application/json; charset=latin-1"},
    {"content-type": "application/jsonx"},
]


WITH_ALL_BODIES = {
    "/v1/threads",
    "/v1/threads/{thread_id}/changes",
    "/v1/runs/{run_id}",
    "/v1/mailboxes/{mailbox_id}/entries",
    "/v1/mailboxes/{mailbox_id}/pause",
    "/v1/batch",
    "/v1/claims",
    "/v1/collections/{collection}/document",
}
"""The others are tried with some of them: all bodies are read by the same function."""


class Bad(NamedTuple):
    """A bad request."""

    method: str
    url: str
    status: int
    body: bytes | None = None
    headers: Mapping[str, str] = MappingProxyType({})


def url_of(operation: Operation, ids: str = "x") -> str:
    return re.sub(r"\{\w+\}", ids, operation.path)


def required(operation: Operation) -> str:
    """The parameters without which a query is incomplete."""
    return {
        "/v1/threads/{thread_id}/deltas": "after=0&",
        "/v1/usage": "by=day&",
    }.get(operation.path, "key=x&" if operation.path.startswith("/v1/collections/") else "")


def bad_ids() -> Iterator[Bad]:
    for operation in OPERATIONS:
        if not operation.ids or operation.ids[0] == "agent_id":
            continue
        body = None if operation.method == "GET" else b"{}"
        for bad in BAD_IDS:
            yield Bad(operation.method, url_of(operation, bad), 400, body, JSON)


def bad_parameters() -> Iterator[Bad]:
    for operation in OPERATIONS:
        url, parameters = url_of(operation), operation.parameters
        yield Bad(operation.method, f"{url}?unknown=1", 400)
        yield Bad(operation.method, f"{url}?%FF=1", 400)
        yield Bad(operation.method, f"{url}?=", 400)
        for name, shape in ({} if parameters is None else parameters.shapes).items():
            match shape:
                case "integer":
                    bad = BAD_INTEGERS
                case "flag":
                    bad = ["1", "yes", "True", "", "null"]
                case _:
                    bad = []
            for value in bad:
                yield Bad(operation.method, f"{url}?{name}={value}", 400)
            if shape != "texts":
                yield Bad(operation.method, f"{url}?{name}=1&{name}=1", 400)


def bad_choices() -> Iterator[Bad]:
    for url in (
        "/v1/search/threads?by=size",
        "/v1/search/threads?order=up",
        "/v1/search/threads?after=x",
        "/v1/search/runs?statuses=running&statuses=lost",
        "/v1/search/runs?origin=agui",
        "/v1/search/entries?statuses=foo",
        "/v1/search/entries?by=id",
        "/v1/search/mailboxes?by=created_at",
        "/v1/runs?status=foo",
        "/v1/runs?origin=foo",
        "/v1/runs?terminationCode=a&termination_code=b",
        "/v1/usage",
        "/v1/usage?by=hour",
        "/v1/threads/t/messages?visibility=foo",
        "/v1/threads/t/messages?order=foo",
        "/v1/threads/t/mailbox?status=foo",
        "/v1/threads/t/mailbox?origin=foo",
        "/v1/threads/t/deltas",
        "/v1/threads?parent_thread_id=a%2Fb",
        "/v1/collections/c/document",
        "/v1/collections/c/document?key=",
        "/v1/collections/c/document?key=a%1Fb",
        "/v1/collections/c/document?" + "&".join(["key=x"] * 17),
        "/v1/collections/c/document?key=" + "x" * 1025,
        "/v1/collections/c/documents?prefix=a%1Fb",
        "/v1/collections?after=" + "&after=x",
        "/v1/threads?" + "&".join(f"a{number}=1" for number in range(101)),
    ):
        yield Bad("GET", url, 400)


def bad_bodies() -> Iterator[Bad]:
    for operation in OPERATIONS:
        if operation.body is None:
            continue
        url = f"{url_of(operation)}?{required(operation)}".rstrip("?&")
        is_tried_with_all = operation.path in WITH_ALL_BODIES
        for body in BAD_BODIES if is_tried_with_all else BAD_BODIES[::4]:
            yield Bad(operation.method, url, 400, body, JSON)
        for headers in BAD_TYPES if is_tried_with_all else BAD_TYPES[:2]:
            yield Bad(operation.method, url, 415, b"{}", headers)
        if not operation.body_is_optional:
            yield Bad(operation.method, url, 415)
        if allowed_fields(operation.body, operation.ids) is not None:
            yield Bad(operation.method, url, 400, b'{"unknown_field": 1}', JSON)
        for name in operation.ids:
            if name in operation.body.__struct_fields__:
                yield Bad(operation.method, url, 400, json.dumps({name: "y"}).encode(), JSON)


def bad_fields() -> Iterator[Bad]:
    values: list[tuple[str, str, Any]] = [
        ("POST", "/v1/threads", {"id": 1}),
        ("POST", "/v1/threads", {"id": "a/b"}),
        ("POST", "/v1/threads", {"id": ""}),
        ("POST", "/v1/threads", {"resource_id": 1}),
        ("POST", "/v1/threads", {"messages": {}}),
        ("POST", "/v1/threads", {"messages": [1]}),
        ("POST", "/v1/threads", {"messages": [{}]}),
        ("POST", "/v1/threads", {"messages": [{"role": "robot", "content": "x"}]}),
        ("POST", "/v1/threads", {"messages": [{"role": "user", "content": 1}]}),
        ("POST", "/v1/threads", {"metadata": {"created_at": 1}}),
        ("POST", "/v1/threads", {"metadata": []}),
        ("POST", "/v1/threads", {"if_exists": "maybe"}),
        ("PATCH", "/v1/threads/t", {"metadata": {"version": 1}}),
        ("PATCH", "/v1/threads/t", {"parent_thread_id": "a/b"}),
        ("PATCH", "/v1/threads/t", {"expected": -1}),
        ("PATCH", "/v1/threads/t/metadata", {"updated_at": 1}),
        ("POST", "/v1/threads/t/changes", {"truncated_to": 0}),
        ("POST", "/v1/threads/t/changes", {"run_id": "a/b"}),
        ("POST", "/v1/threads/t/changes", {"reason": "because"}),
        ("POST", "/v1/threads/t/changes", {"patches": [{"patch": {"ops": [{"op": "x"}]}}]}),
        ("POST", "/v1/threads/t/changes?expected=-1", {}),
        ("POST", "/v1/threads/t/truncate", {}),
        ("POST", "/v1/threads/t/truncate", {"keep": 1, "drop": 1}),
        ("POST", "/v1/threads/t/truncate", {"keep": -1}),
        ("POST", "/v1/threads/t/truncate", {"keep": 2**63}),
        ("POST", "/v1/threads/t/truncate", {"keep": True}),
        ("POST", "/v1/threads/t/truncate", {"keep": "1"}),
        ("POST", "/v1/threads/t/truncate", {"keep": 1.0}),
        ("POST", "/v1/threads/t/fork", {"at": -1}),
        ("POST", "/v1/threads/t/fork", {"new": "a/b"}),
        ("PUT", "/v1/runs/r", {"thread_id": "a/b"}),
        ("PUT", "/v1/runs/r", {"thread_id": "t", "status": "lost"}),
        ("PUT", "/v1/runs/r", {"thread_id": "t", "input_tokens": -1}),
        ("PUT", "/v1/runs/r", {"thread_id": "t", "created_at": 2**63}),
        ("PUT", "/v1/runs/r", {"run_id": "other", "thread_id": "t"}),
        ("POST", "/v1/mailboxes/m/entries", {}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "priority": 256}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "priority": -1}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "delay_ms": -1}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "delay_ms": 2**63}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "origin": "mars"}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "headers": {"": "x"}}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "headers": {"a": 1}}),
        ("POST", "/v1/mailboxes/m/entries", {"payload": 1, "headers": {"a": "x" * 8193}}),
        ("POST", "/v1/mailboxes/m/pause", {"until": -1}),
        ("POST", "/v1/mailboxes/m/pause", {"reason": 1}),
        ("POST", "/v1/mailboxes/m/withdraw", {}),
        ("POST", "/v1/mailboxes/m/cancel-pending", {"exclude": "a/b"}),
        ("POST", "/v1/purge/entries", {"ended_before": -1}),
        ("POST", "/v1/purge/entries", {"ended_before": 1, "statuses": ["queued"]}),
        ("POST", "/v1/purge/entries", {"ended_before": 1, "statuses": "accepted"}),
        ("POST", "/v1/claims", {}),
        ("POST", "/v1/claims", {"consumer": 1}),
        ("POST", "/v1/claims", {"consumer": "w", "lease_ms": -1}),
        ("POST", "/v1/claims", {"consumer": "w", "wait_ms": 30_001}),
        ("POST", "/v1/claims", {"consumer": "w", "wait_ms": -1}),
        ("POST", "/v1/claims", {"consumer": "w", "mailbox_id": "a/b"}),
        ("POST", "/v1/claims", {"consumer": "w", "limit": 2**63}),
        ("POST", "/v1/claims", {"consumer": "w", "mailbox_prefix": "a"}),
        ("POST", "/v1/claims", {"consumer": "w", "mailbox_prefix": []}),
        ("POST", "/v1/claims", {"consumer": "w", "except_prefix": [""]}),
        ("POST", "/v1/claims", {"consumer": "w", "except_prefix": ["a"], "mailbox_id": "a"}),
        ("POST", "/v1/entries/e/ack", {}),
        ("POST", "/v1/entries/e/nack", {"claim_token": "t", "retry_at": -1}),
        ("POST", "/v1/entries/e/extend", {"claim_token": "t", "extension_ms": -1}),
        ("POST", "/v1/entries/e/supersede", {}),
        ("POST", "/v1/batch", {}),
        ("POST", "/v1/batch", {"commands": {}}),
        ("POST", "/v1/batch", {"commands": [1]}),
        ("POST", "/v1/batch", {"commands": [{}]}),
        ("POST", "/v1/batch", {"commands": [{"command": "Nothing"}]}),
        ("POST", "/v1/batch", {"commands": [{"command": []}]}),
        ("POST", "/v1/batch", {"commands": [{"command": "RestoreRun", "run": {}}]}),
        ("POST", "/v1/batch", {"commands": [{"command": "Cancel"}]}),
        ("POST", "/v1/batch", {"commands": [{"command": "Cancel", "entry_id": "a/b"}]}),
        ("POST", "/v1/batch", {"commands": [{"command": "Cancel", "entry_id": "e", "now": 1}]}),
        ("POST", "/v1/batch", {"commands": [{"command": "Cancel", "entry_id": "e", "x": 1}]}),
        ("POST", "/v1/batch", {"commands": [take("name")]}),
        (
            "POST",
            "/v1/batch",
            {"commands": [{"command": "EnsureMailbox", "mailbox_id": "new"}] * 101},
        ),
        (
            "POST",
            "/v1/batch",
            {"commands": [{"command": "EnsureMailbox", "mailbox_id": "new"}, {}]},
        ),
        ("POST", "/v1/erase", {"resource_id": None}),
        ("POST", "/v1/erase", {"resource_id": "a", "dry_run": 1}),
        ("POST", "/v1/purge/threads", {}),
        ("POST", "/v1/purge/threads", {"changed_before": -1}),
        ("POST", "/v1/purge/threads", {"changed_before": 1, "resource_id": 1}),
        ("POST", "/v1/purge/documents", {"expired_before": -1}),
        ("PUT", "/v1/collections/c/document?key=a", {}),
        ("PUT", "/v1/collections/c/document?key=a", {"value": 1, "expected": -1}),
        ("PUT", "/v1/collections/c/document?key=a", {"value": 1, "expires_at": -1}),
        (
            "PUT",
            "/v1/collections/c/document?key=a",
            {"value": 1, "if_exists": "keep", "expected": 1},
        ),
        ("PUT", "/v1/collections/c/document?key=a&key=b&x=1", {"value": 1}),
        ("POST", "/v1/collections/c/document/touch?key=a", {}),
    ]
    for method, url, body in values:
        yield Bad(method, url, 400, json.dumps(body).encode(), JSON)


def take(name: str) -> dict[str, str]:
    return {"command": "Take", "entry_id": "e", "claim_token": "t", name: "mine"}


def bad_routes() -> Iterator[Bad]:
    for url in ("/", "/v1", "/v1/", "/v2/threads", "/v1/usage/", "/v1//threads", "/%FF"):
        yield Bad("GET", url, 404 if url != "/%FF" else 400)
    for operation in OPERATIONS:
        yield Bad("TRACE", url_of(operation), 405)
        yield Bad("OPTIONS", url_of(operation), 405)
    key = {"idempotency-key": "a"}
    body = b'{"payload": 1, "dedupe_key": "b"}'
    yield Bad("POST", "/v1/mailboxes/m/entries", 400, body, {**JSON, **key})


GROUPS = [bad_ids, bad_parameters, bad_choices, bad_bodies, bad_fields, bad_routes]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with treadle.open_store("memory:") as opened:
        await opened.threads.create(Thread(id="t", messages=(Message.user("hi", id="m"),)))
        yield opened


async def everything(store: Store) -> str:
    found = (
        await store.threads.list(),
        await store.threads.load("t"),
        await store.runs.list(),
        await store.mailboxes.list(),
        await store.mailboxes.list_entries(),
        await store.documents.collections(),
    )
    return repr(found)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
async def test_bad_requests_are_refused_and_write_nothing(group: Any, store: Store) -> None:
    before = await everything(store)
    admin = treadle_http.admin("ops")
    async with client_of(store, admin) as client:
        for bad in group():
            answer = await client.request(
                bad.method, bad.url, content=bad.body, headers=bad.headers
            )
            assert answer.status_code == bad.status, (bad, answer.text)
            assert answer.headers["content-type"] == "application/json"
            assert set(answer.json()) >= {"error", "code"}
            assert ("allow" in answer.headers) == (bad.status == 405)
    assert await everything(store) == before


def test_there_are_hundreds_of_bad_requests_of_each_important_kind() -> None:
    counts = {group.__name__: len(list(group())) for group in GROUPS}
    assert counts["bad_ids"] >= 300
    assert counts["bad_parameters"] >= 300
    assert counts["bad_bodies"] >= 300


async def test_a_body_past_the_limit_is_refused_however_it_comes(store: Store) -> None:
    before = await everything(store)
    limits = treadle_http.Limits(body_bytes=1000)
    large = json.dumps({"id": "large", "state": "x" * 1000}).encode()
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, len(large) * 100, 100):
            sent += 1
            yield large[start : start + 100] or b" " * 100

    async with client_of(store, treadle_http.admin("ops"), limits=limits) as client:
        for content in (large, chunks()):
            answer = await client.post("/v1/threads", content=content, headers=JSON)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
            assert answer.headers["connection"] == "close"
        assert sent <= 24  # as much again is read, so that the client sees the answer
        for length in (b"-1", b"\xb2", b"", b"9" * 5_000):
            lying = {b"content-type": b"application/json", b"content-length": length}
            answer = await client.post("/v1/threads", content=b"{}", headers=lying)
            assert answer.status_code == 413
        small = await client.post("/v1/threads/t/truncate", content=b'{"keep": 1}', headers=JSON)
        assert small.status_code == 200
    assert await everything(store) == before


async def test_a_body_that_does_not_arrive_is_not_waited_for(store: Store) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)

    limits = treadle_http.Limits(body_seconds=0.05)
    async with client_of(store, treadle_http.admin("ops"), limits=limits) as client:
        answer = await client.post("/v1/threads", content=slow(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (408, "too_slow")
    assert answer.headers["connection"] == "close"


async def test_a_request_with_two_ends_is_refused_whatever_it_asks_for(store: Store) -> None:
    before = await everything(store)
    two = {"content-length": "2", "transfer-encoding": "chunked", **JSON}
    async with client_of(store, treadle_http.admin("ops")) as client:
        for method, url in (("POST", "/v1/threads"), ("GET", "/v1/threads"), ("GET", "/nothing")):
            answer = await client.request(method, url, content=b"{}", headers=two)
            assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_length")
            assert answer.headers["connection"] == "close"
    assert await everything(store) == before
