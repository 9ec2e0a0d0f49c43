"""`treadle serve`, in another process."""

import asyncio
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.support import read_until, run, spawn

ALICE = "token-of-alice-0123456789"
OPS = "token-of-ops-0123456789"
LAST_CHUNK = b"\r\n0\r\n\r\n"
"""The end of an answer that was sent as a whole."""


@contextmanager
def serving(store: Path | str, *options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    child = spawn("serve", "--store", store, "--port", 0, *options)
    try:
        line = read_until(child, "serving")
        yield child, line.rstrip().rpartition(" at ")[2]
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text(f"# who may do what\n\nuser:alice {ALICE}\nadmin:ops {OPS}\n")
    return path


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("serve", "--store", tmp_path / "s", "--port", port)
    assert refused.exit_code == 1
    assert f"cannot listen at 127.0.0.1 port {port}" in refused.stderr


def test_a_store_is_served_to_who_has_a_token(tmp_path: Path, tokens: Path) -> None:
    with serving(tmp_path / "store", "--tokens", tokens) as (child, url):
        with httpx.Client(base_url=url, timeout=30) as client:
            assert client.get("/health").status_code == 200
            assert client.get("/v1/threads").status_code == 401
            assert client.get("/v1/threads", headers=bearer("x" * 20)).status_code == 401
            made = client.post("/v1/threads", json={"id": "t"}, headers=bearer(ALICE))
            assert made.json()["resource_id"] == "alice"
            assert client.get("/v1/threads/t", headers=bearer(OPS)).status_code == 200
            assert client.get("/v1/stats", headers=bearer(ALICE)).status_code == 403
            moved = client.get("/health", headers={"host": "evil.example"})
            assert moved.json()["code"] == "host_not_allowed"
            assert "--host-name" in moved.text
            assert client.get("/v1/nothing").json()["code"] == "no_such_route"
            assert client.get("/").headers["location"] == "/login"
            assert client.post("/login", data={"token": ALICE}).status_code == 303
            assert "/threads/t" in client.get("/threads").text
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
        assert "201 alice POST /v1/threads" in child.stderr.read()  # type: ignore[union-attr]


async def test_a_server_that_stops_ends_its_streams_and_answers_a_waiting_claim(
    tmp_path: Path,
) -> None:
    with serving(f"sqlite:///{tmp_path}/agents.db") as (child, url):
        async with httpx.AsyncClient(base_url=url, timeout=30) as client, AsyncExitStack() as open_:
            await client.post("/v1/threads", json={"id": "t"})
            waiting = asyncio.create_task(
                client.post("/v1/claims", json={"consumer": "w", "wait_ms": 30_000})
            )
            readers = [await stream(url, open_) for _ in range(100)]
            child.send_signal(signal.SIGTERM)
            # What goes on is cut off, with an error, after seconds of grace. These have an end.
            assert (await waiting).json() == []
            assert all([(await reader.read()).endswith(LAST_CHUNK) for reader in readers])
            assert await asyncio.to_thread(child.wait, 30) == 0


async def stream(
    url: str, open_: AsyncExitStack, path: str = "/v1/threads/t/events"
) -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection(*address_of(url))
    open_.callback(writer.close)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    return reader


def test_a_server_that_stops_waits_for_no_client_that_does_not_read(tmp_path: Path) -> None:
    with (
        serving(f"sqlite:///{tmp_path}/agents.db") as (child, url),
        httpx.Client(base_url=url, timeout=30) as client,
        socket.socket() as stalled,
    ):
        client.post("/v1/threads", json={"id": "t"})
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stalled.connect(address_of(url))
        stalled.sendall(b"GET /v1/threads/t/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in stalled.recv(20)
        for _ in range(6):
            message = {"role": "user", "content": "x" * 2_000_000}
            assert client.post("/v1/threads/t/changes", json={"messages": [message]}).is_success
        client.close()
        child.send_signal(signal.SIGTERM)
        assert child.wait(8) == 0  # requests that go on have ten seconds


def address_of(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def answers_to(url: str, request: bytes) -> bytes:
    """All that the server sends until it closes the connection."""
    with socket.create_connection(address_of(url), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_connection_ends_with_a_request_that_is_not_read_to_its_end(tmp_path: Path) -> None:
    post = b"POST /v1/threads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    hidden = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    two_ends = b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with serving(tmp_path / "store") as (_, url):
        for rest, status in ((two_ends, b"400"), (b"Content-Length: 9999999\r\n\r\n", b"413")):
            given = answers_to(url, post + rest + hidden)
            assert given.startswith(b"HTTP/1.1 " + status)
            assert given.count(b"HTTP/1.1") == 1
        given = answers_to(
            url, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert given.startswith(b"HTTP/1.1 404")


def test_a_server_that_only_reads_says_so(tmp_path: Path) -> None:
    with serving(tmp_path / "store"):
        pass
    with (
        serving(tmp_path / "store", "--read-only") as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        assert client.get("/v1/threads").status_code == 200
        assert client.post("/v1/threads", json={}).json()["code"] == "read_only"


def test_the_owner_in_a_header_of_the_proxy_is_who_asks(tmp_path: Path) -> None:
    options = ("--user-header", "X-Forwarded-User")
    with (
        serving(f"sqlite:///{tmp_path}/a.db", *options) as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        headers = {"x-forwarded-user": "alice"}
        assert client.get("/v1/threads").status_code == 401
        assert client.get("/v1/threads", headers=headers).status_code == 200
        forged = {**headers, "x-forwarded-for": "10.0.0.1"}
        assert client.get("/v1/threads", headers=forged).status_code == 200
        assert client.post("/v1/threads", json={}, headers=headers).status_code == 201
    with (
        serving(f"sqlite:///{tmp_path}/a.db", *options, "--user-role", "chat") as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        assert client.get("/v1/threads", headers=headers).status_code == 200
        assert client.post("/v1/threads", json={}, headers=headers).status_code == 403
    with (
        serving(f"sqlite:///{tmp_path}/a.db", *options, "--proxy", "10.0.0.1") as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        assert client.get("/v1/threads", headers=headers).status_code == 401
        assert client.get("/v1/threads", headers=forged).status_code == 401


def test_a_proxy_that_cuts_a_path_off_is_in_the_links(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "store", "--root-path", "/tools/treadle") as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        assert client.post("/v1/threads", json={"id": "a/b"}).status_code == 400
        assert client.post("/v1/threads", json={"id": "t"}).status_code == 201
        assert client.get("/v1/threads/t").json()["id"] == "t"
        page = client.get("/threads").text
        links = re.findall(r'(?:href|src|action)="([^"#]+)"', page)
        assert "/tools/treadle/threads/t" in links
        assert [link for link in links if not link.startswith("/tools/treadle/")] == []
        assert client.get("/v1/%ff").json()["code"] == "invalid_value"


@pytest.mark.parametrize("path", ["treadle", "/", "//evil.example", "/a b", "/a?b", "/ü"])
def test_a_root_path_that_is_none_is_refused(tmp_path: Path, path: str) -> None:
    refused = run("serve", "--store", tmp_path / "s", "--root-path", path)
    assert refused.exit_code == 2
    assert "--root-path" in refused.stderr


def test_a_server_for_all_machines_must_know_who_asks(tmp_path: Path) -> None:
    for host in ("::", "10.1.2.3", "agents.example"):
        refused = run("serve", "--store", tmp_path / "s", "--host", host)
        assert refused.exit_code == 2
        assert "everybody could do everything" in refused.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no token"),
        ("# user:alice TOKEN\n", "no token"),
        (f"root:ops {OPS}\n", "line 1"),
        (f"user: {OPS}\n", "line 1"),
        (OPS, "line 1"),
        (f"user:alice {OPS}\nuser:bob {OPS}\n", "line 2"),
        ("user:alice short\n", "at least 16"),
    ],
)
def test_a_file_of_tokens_that_is_wrong_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(text)
    refused = run("serve", "--store", tmp_path / "s", "--tokens", path)
    assert refused.exit_code == 1
    assert reason in refused.stderr
    assert OPS not in refused.stderr
    assert not (tmp_path / "s").exists()
