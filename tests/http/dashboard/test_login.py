"""Logging in to the dashboard with a token, and what its cookie is good for."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

import treadle
from tests.http.clients_in_process import client
from treadle import http as treadle_http
from treadle.store.store import Store

ALICE, OPS = "token-of-alice-0123456789+/=", "token-of-ops-0123456789"
AUTHENTICATE = treadle_http.tokens(
    {ALICE: treadle_http.user("alice"), OPS: treadle_http.admin("ops")}
)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with treadle.open_store("memory:") as opened:
        yield opened


@pytest.fixture
async def browser(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    app = treadle_http.dashboard(store, authenticate=AUTHENTICATE)
    async with client(app) as opened:
        yield opened


async def test_who_is_not_known_is_led_to_the_login_and_back(browser: httpx.AsyncClient) -> None:
    away = await browser.get("/threads/a%2Fb")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2Fthreads%2Fa%2Fb")
    page = await browser.get(away.headers["location"])
    assert 'value="/threads/a/b"' in page.text
    back = await browser.post("/login", data={"token": f" {ALICE} ", "next": "/threads"})
    assert (back.status_code, back.headers["location"]) == (303, "/threads")
    assert (await browser.get("/threads")).status_code == 200


async def test_a_part_of_a_page_leads_the_whole_page_to_the_login(
    browser: httpx.AsyncClient,
) -> None:
    part = await browser.get("/threads", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login?next=%2Fthreads")


async def test_a_stream_is_refused_and_never_answered_with_the_login(
    browser: httpx.AsyncClient,
) -> None:
    stream = await browser.get("/threads/a/stream", headers={"accept": "text/event-stream"})
    assert stream.status_code == 401
    assert "location" not in stream.headers


async def test_a_token_that_nobody_has_logs_nobody_in(browser: httpx.AsyncClient) -> None:
    for token in ("", "wrong-token-0123456789", ALICE[:-1], f"{ALICE}\r\nx: y"):
        refused = await browser.post("/login", data={"token": token})
        assert refused.status_code == 401
        assert "set-cookie" not in refused.headers
        assert "does not know this token" in refused.text
    assert (await browser.get("/threads")).status_code == 303


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "javascript:alert(1)",
        "evil",
    ],
)
async def test_a_login_leads_to_no_other_site(where: str, browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", data={"token": OPS, "next": where})
    assert answer.headers["location"] == "/"


async def test_scripts_and_other_sites_do_not_get_the_cookie(browser: httpx.AsyncClient) -> None:
    cookie = (await browser.post("/login", data={"token": OPS})).headers["set-cookie"]
    assert cookie.endswith("; HttpOnly; Path=/; SameSite=lax")
    for forwarded in ("https", "https, http", "HTTPS"):  # what the browser speaks comes first
        behind_proxy = await browser.post(
            "/login", data={"token": OPS}, headers={"x-forwarded-proto": forwarded}
        )
        assert "Secure" in behind_proxy.headers["set-cookie"]


async def test_the_cookie_is_for_the_path_of_the_mount(store: Store) -> None:
    dashboard = treadle_http.dashboard(store, authenticate=AUTHENTICATE)
    async with client(Starlette(routes=[Mount("/a b", dashboard)])) as browser:
        away = await browser.get("/a%20b/threads")
        assert away.headers["location"] == "/a%20b/login?next=%2Fthreads"
        answer = await browser.post("/a%20b/login", data={"token": OPS, "next": "/threads"})
        assert answer.headers["location"] == "/a%20b/threads"
        assert "Path=/a%20b;" in answer.headers["set-cookie"]
        assert (await browser.get("/a%20b/threads")).status_code == 200


async def test_a_page_of_another_site_cannot_use_the_cookie(browser: httpx.AsyncClient) -> None:
    await browser.post("/login", data={"token": OPS})
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert (await browser.post("/logout", headers=headers)).status_code == 403
        refused = await browser.post("/login", data={"token": ALICE}, headers=headers)
        assert refused.status_code == 403


async def test_the_api_takes_no_cookie(store: Store, browser: httpx.AsyncClient) -> None:
    await browser.post("/login", data={"token": OPS})
    api = treadle_http.app(store, authenticate=AUTHENTICATE)
    async with client(api) as caller:
        caller.cookies = browser.cookies
        assert (await caller.get("/v1/threads")).status_code == 401


async def test_who_logs_out_is_not_known_again(browser: httpx.AsyncClient) -> None:
    await browser.post("/login", data={"token": OPS})
    assert "Log out" in (await browser.get("/")).text
    assert (await browser.post("/logout")).headers["location"] == "/login"
    assert (await browser.get("/")).status_code == 303


async def test_one_can_log_in_to_a_server_that_only_reads(store: Store) -> None:
    app = treadle_http.dashboard(store, authenticate=AUTHENTICATE, read_only=True)
    async with client(app) as browser:
        assert (await browser.post("/login", data={"token": OPS})).status_code == 303
        assert (await browser.get("/")).status_code == 200


async def test_one_can_log_in_where_who_authenticates_reads_the_body(store: Store) -> None:
    async def authenticate(request: Request) -> treadle_http.Principal | None:
        await request.body()
        found = AUTHENTICATE(request)
        return found if isinstance(found, treadle_http.Principal) else None

    async with client(treadle_http.dashboard(store, authenticate=authenticate)) as anyone:
        logged_in = await anyone.post("/login", data={"token": OPS})
        assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/")
        assert (await anyone.get("/threads")).status_code == 200
        sent = await anyone.post("/mailboxes/m/send", data={"text": "hello"})
        assert sent.status_code == 303
    assert (await store.mailboxes.count_entries("m")).queued == 1
