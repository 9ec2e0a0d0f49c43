"""What is checked of every request: its host, where it comes from, and who makes it."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from tests.http.clients_in_process import client, client_of
from tests.http.conftest import Connect
from treadle import Message, Thread, errors
from treadle import http as treadle_http
from treadle.store.store import Store

ALICE, OPS = "token-of-alice-0123456789", "token-of-ops-0123456789"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost:80:80", 403),
        ("localhost@evil.example", 403),
        ("", 403),
    ],
)
async def test_only_known_hosts_are_answered(host: str, status: int, connect: Connect) -> None:
    admin: httpx.AsyncClient = await connect(treadle_http.admin("ops"))
    assert (await admin.get("/v1/threads", headers={"host": host})).status_code == status
    address: httpx.AsyncClient = await connect(treadle_http.admin("ops"), hosts=["FD00::5"])
    for given, expected in (("[fd00::5]:8080", 200), ("[fd00::5]", 200), ("[fd00::6]", 403)):
        found = await address.get("/v1/threads", headers={"host": given})
        assert found.status_code == expected
    everywhere: httpx.AsyncClient = await connect(treadle_http.admin("ops"), hosts="*")
    assert (await everywhere.get("/v1/threads", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        ({"origin": "http://localhost"}, 201),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "localhost"}, 403),
        ({"sec-fetch-site": "cross-site", "authorization": "Bearer x"}, 201),
        ({"sec-fetch-site": "cross-site", "authorization": "Basic YTpi"}, 403),
        ({"origin": "https://evil.example", "authorization": "Basic YTpi"}, 403),
        ({"sec-fetch-site": "same-origin", "authorization": "Basic YTpi"}, 201),
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    headers: dict[str, str], status: int, connect: Connect, store: Store
) -> None:
    admin: httpx.AsyncClient = await connect(treadle_http.admin("ops"))
    answer = await admin.post("/v1/threads", json={"id": "t"}, headers=headers)
    assert answer.status_code == status
    assert (await store.threads.summary("t") is None) == (status == 403)


async def test_a_token_is_who_has_it_and_nothing_else_is(store: Store) -> None:
    authenticate = treadle_http.tokens(
        {ALICE: treadle_http.user("alice"), OPS: treadle_http.admin("ops")}
    )
    async with client(treadle_http.app(store, authenticate=authenticate)) as anyone:
        for right in (f"Bearer {ALICE}", f"bearer {ALICE}"):
            headers = {"authorization": right}
            assert (await anyone.get("/v1/threads", headers=headers)).status_code == 200
            assert (await anyone.get("/v1/stats", headers=headers)).status_code == 403
        wrong = [f"Basic {ALICE}", ALICE, f"Bearer  {ALICE}", f"Bearer {ALICE[:-1]}", "Bearer", ""]
        for text in wrong:
            refused = await anyone.get("/v1/threads", headers={"authorization": text})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        twice = [("authorization", f"Bearer {ALICE}"), ("authorization", f"Bearer {OPS}")]
        assert (await anyone.get("/v1/stats", headers=twice)).status_code == 401


@pytest.mark.parametrize("token", ["short", "x" * 15, "a token with blanks", "ü" * 20])
def test_a_weak_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="16 characters"):
        treadle_http.tokens({token: treadle_http.admin("ops")})


async def test_a_header_counts_only_if_the_proxy_sent_it(store: Store) -> None:
    name = "x-forwarded-user"
    for proxies, status in ((["127.0.0.1"], 200), (["10.0.0.1"], 401), ([], 401)):
        authenticate = treadle_http.trusted_header(name, proxies=proxies)
        async with client(treadle_http.app(store, authenticate=authenticate)) as anyone:
            answer = await anyone.get("/v1/threads", headers={name: "alice"})
            assert answer.status_code == status
            twice: Any = [(name, "alice"), (name, "bob")]
            for wrong in ({}, {name: ""}, twice):
                assert (await anyone.get("/v1/threads", headers=wrong)).status_code == 401


async def test_a_name_in_a_header_is_in_utf_8(store: Store) -> None:
    authenticate = treadle_http.trusted_header("x-user")
    async with client(treadle_http.app(store, authenticate=authenticate)) as anyone:
        for name in ("Zoë", "зоя", "直子", "😀"):
            await store.threads.create(Thread(id=name, resource_id=name))
            answer = await anyone.get("/v1/threads", headers={b"x-user": name.encode()})
            assert answer.json()["items"] == [name]
        wrong = await anyone.get("/v1/threads", headers={b"x-user": b"Zo\xeb"})
        assert wrong.status_code == 401


async def test_an_authentication_that_fails_or_answers_nonsense_lets_nobody_in(
    connect: Connect,
) -> None:
    async def fails(request: Request) -> None:
        raise RuntimeError("the directory of users is away")

    for wrong in (fails, lambda _: True, lambda _: "admin"):
        anyone: httpx.AsyncClient = await connect(treadle_http.admin("ops"), authenticate=wrong)
        answer = await anyone.get("/v1/threads")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "directory" not in answer.text


async def test_who_authenticates_may_read_the_body(store: Store) -> None:
    async def authenticate(request: Request) -> treadle_http.Principal | None:
        is_signed = request.headers.get("x-signature") == str(len(await request.body()))
        return treadle_http.user("alice") if is_signed else None

    async with client(treadle_http.app(store, authenticate=authenticate)) as anyone:
        for signature, status in (("12", 201), ("13", 401)):
            headers = {"x-signature": signature, "content-type": "application/json"}
            answer = await anyone.post("/v1/threads", content=b'{"id":  "t"}', headers=headers)
            assert answer.status_code == status


async def test_who_authenticates_reads_no_more_than_the_limit(store: Store) -> None:
    async def authenticate(request: Request) -> treadle_http.Principal | None:
        await request.body()
        return None

    limits = treadle_http.Limits(body_bytes=10)
    async with client(treadle_http.app(store, authenticate=authenticate, limits=limits)) as anyone:
        for body, status in ((b"x" * 10, 401), (b"x" * 11, 413)):
            assert (await anyone.post("/v1/threads", content=body)).status_code == status


async def test_an_application_is_mounted_below_any_path(store: Store) -> None:
    async def authenticate(request: Request) -> treadle_http.Principal:
        await asyncio.sleep(0)
        return treadle_http.user("alice")

    api = treadle_http.app(store, authenticate=authenticate)
    mounted = Starlette(routes=[Mount("/a%20b/treadle", api), Mount("/deep/er", api)])
    async with client(mounted) as alice:
        made = await alice.post("/deep/er/v1/threads", json={"id": "t 1"})
        assert made.json()["resource_id"] == "alice"
        assert (await alice.get("/deep/er/v1/threads/t%201")).status_code == 200
        assert (await alice.get("/deep/er/v1/threads/t%2F1")).json()["code"] == "invalid_id"
        described = (await alice.get("/deep/er/openapi.json")).json()
        assert described["servers"] == [{"url": "/deep/er"}]


async def test_the_audit_hears_of_changes_and_refusals(store: Store) -> None:
    heard: list[treadle_http.Audited] = []
    user = treadle_http.user("alice")
    async with client_of(store, user, audit=heard.append) as alice:
        await alice.get("/v1/threads")
        await alice.post("/v1/threads", json={"id": "t"})
        await alice.get("/v1/threads/nothing")
        await alice.post("/v1/claims", json={"consumer": "w"})
        await alice.get("/nowhere")
    assert [(each.operation, each.ids, each.status) for each in heard] == [
        ("POST /v1/threads", {}, 201),
        ("GET /v1/threads/{thread_id}", {"thread_id": "nothing"}, 404),
        ("POST /v1/claims", {}, 403),
        ("GET", {}, 404),
    ]
    assert [each.principal for each in heard] == [user, user, user, None]


async def test_answers_may_not_be_kept_framed_or_guessed_at(admin: httpx.AsyncClient) -> None:
    for path in ("/v1/threads", "/v1/threads/nothing", "/nowhere", "/health"):
        headers = (await admin.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_a_claim_token_leaves_with_its_claim_only(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="t"))
    await admin.post("/v1/mailboxes/t/entries", json={"payload": 1, "dedupe_key": "k"})
    await admin.post("/v1/mailboxes/t/entries", json={"payload": 2})
    [entry] = (await admin.post("/v1/claims", json={"consumer": "w"})).json()
    token, path = entry["claim_token"], f"/v1/entries/{entry['entry_id']}"
    claim = {"entry_id": entry["entry_id"], "claim_token": token}
    [taken] = (await admin.post(f"{path}/take", json={"claim_token": token})).json()
    assert taken["claim_token"].startswith(token)
    again = await admin.post("/v1/mailboxes/t/entries", json={"payload": 1, "dedupe_key": "k"})
    assert again.status_code == 200
    batch = [
        {"command": "Hold", **claim},
        {"command": "ExtendLease", **claim, "extension_ms": 9000},
    ]
    answers = [
        again,
        await admin.get(path),
        await admin.get(f"{path}/explain"),
        await admin.get("/v1/search/entries"),
        await admin.get("/v1/mailboxes/t/entries"),
        await admin.get("/v1/threads/t/mailbox"),
        await admin.post("/v1/batch", json={"commands": batch}),
        await admin.post(f"{path}/cancel"),
        await admin.post("/v1/mailboxes/t/cancel-pending"),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert token not in answer.text
        assert "claim_token" not in answer.text


async def test_a_failure_of_the_store_names_no_host_and_no_file(
    admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "postgresql://agents:password@db.internal/app"
    for error, status in (
        (errors.StoreUnavailable(secret, secret), 503),
        (errors.CorruptRecord(secret, secret), 500),
        (errors.ReadOnlyStore(secret), 403),
        (ValueError(secret), 500),
    ):

        async def fail(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(type(store), "read", fail)
        answer = await admin.get("/v1/threads/t/summary")
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status == 503)
        assert "db.internal" not in answer.text
        assert "Traceback" not in answer.text


async def claim_until(gone: asyncio.Event, store: Store) -> None:
    """Ask for claims, as a client that goes away when it is said to, and gets no answer."""
    app = treadle_http.app(store, authenticate=treadle_http.everyone(treadle_http.admin("ops")))
    body = b'{"consumer": "gone", "wait_ms": 30000, "limit": 9}'
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        for message in messages:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/claims",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    await asyncio.wait_for(app(scope, receive, send), 5)


async def test_a_claim_that_nobody_waits_for_any_longer_is_not_made(store: Store) -> None:
    gone = asyncio.Event()
    waiting = asyncio.create_task(claim_until(gone, store))
    await asyncio.sleep(0.05)
    gone.set()
    await waiting
    await store.mailboxes.send("t", 1)
    await asyncio.sleep(0.05)
    assert (await store.mailboxes.count_entries()).queued == 1


async def test_what_was_claimed_for_a_client_that_has_gone_is_released(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed: list[str] = []
    claim = type(store.mailboxes).claim

    async def noted(*args: Any, **options: Any) -> Any:
        found = await claim(*args, **options)
        claimed.extend(entry.mailbox_id for entry in found)
        return found

    monkeypatch.setattr(type(store.mailboxes), "claim", noted)
    sent = [await store.mailboxes.send(mailbox_id, 1) for mailbox_id in ("one", "two")]
    gone = asyncio.Event()
    gone.set()
    await claim_until(gone, store)
    assert sorted(claimed) == ["one", "two"]
    for each in sent:
        entry = await store.mailboxes.load_entry(each.entry.entry_id)
        assert entry is not None
        assert (entry.status, entry.attempt_count) == ("queued", 0)


async def test_an_entry_that_cannot_be_released_leaves_no_other_claimed(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    claim = type(store.mailboxes).claim

    async def ended_meanwhile(*args: Any, **options: Any) -> Any:
        found = await claim(*args, **options)
        await store.mailboxes.cancel(found[0].entry_id)
        return found

    monkeypatch.setattr(type(store.mailboxes), "claim", ended_meanwhile)
    for mailbox_id in ("one", "two", "three"):
        await store.mailboxes.send(mailbox_id, 1)
    gone = asyncio.Event()
    gone.set()
    await claim_until(gone, store)
    counts = await store.mailboxes.count_entries()
    assert (counts.queued, counts.claimed, counts.cancelled) == (2, 0, 1)
    assert "not released" in caplog.text


async def test_internal_messages_in_payloads_are_for_who_may_read_them_or_holds_the_claim(
    store: Store,
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    messages = [
        {"role": "system", "content": "secret", "visibility": "internal"},
        {"role": "user", "content": "hi"},
    ]
    sent = await store.mailboxes.send("t", {"agent_id": "helper", "messages": messages})
    path = f"/v1/entries/{sent.entry.entry_id}"
    readings = [path, f"{path}/explain", "/v1/mailboxes/t/entries", "/v1/threads/t/mailbox"]
    async with client_of(store, treadle_http.user("alice")) as alice:
        for each in readings:
            answer = await alice.get(each)
            assert answer.status_code == 200, answer.text
            assert "secret" not in answer.text
    async with client_of(store, treadle_http.viewer("ops")) as viewer:
        assert "secret" in (await viewer.get(path)).text
    can: frozenset[treadle_http.Action] = frozenset({"read", "claim"})
    worker = treadle_http.Principal(id="w", owner=treadle_http.ALL_OWNERS, can=can)
    async with client_of(store, worker) as client:
        [entry] = (await client.post("/v1/claims", json={"consumer": "w"})).json()
        assert entry["payload"]["messages"] == messages
        assert "secret" not in (await client.get(path)).text


async def test_integers_of_64_bits_survive(admin: httpx.AsyncClient, store: Store) -> None:
    numbers = [2**64 - 1, -(2**63), 2**53 + 1, 0.1, 1.0, 1]
    sent = await admin.post("/v1/mailboxes/m/entries", json={"payload": numbers})
    entry_id = sent.json()["entry"]["entry_id"]
    entry = await store.mailboxes.load_entry(entry_id)
    assert entry is not None
    assert repr(entry.payload) == repr(numbers)
    assert repr((await admin.get(f"/v1/entries/{entry_id}")).json()["payload"]) == repr(numbers)


async def test_messages_are_skipped_that_a_thread_has(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/threads", json={"id": "t"})
    message = {"id": "m", "role": "user", "content": "hi", "unknown": {"kept": True}}
    first = await admin.post("/v1/threads/t/changes", json={"messages": [message]})
    again = await admin.post("/v1/threads/t/changes?expected=1", json={"messages": [message]})
    assert (first.json(), again.json()["skipped"]) == ({"version": 1}, ["m"])
    late = await admin.post("/v1/threads/t/changes?expected=1", json={})
    assert late.status_code == 409
    assert late.json().items() >= {"code": "version_conflict", "expected": 1, "actual": 2}.items()
    [shown] = (await admin.get("/v1/threads/t/messages")).json()["messages"]
    assert shown["unknown"] == {"kept": True}
    assert Message.user("hi").role == shown["role"]
