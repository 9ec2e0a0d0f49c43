"""What owners, viewers and pages of other sites try, and forms that are sent twice."""

import asyncio
import html
import re
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.http.clients_in_process import client
from tests.http.dashboard.browser.serving import served
from tests.http.dashboard.conftest import See
from tests.http.dashboard.test_thread_stream import events
from treadle import Message, RunMeta, RunRecord, Store, Thread, ThreadChangeSet, errors
from treadle import http as treadle_http

ALICE, OPS = "token-of-alice-0123456789", "token-of-ops-0123456789"


@pytest.fixture
async def of_bob(store: Store) -> str:
    """The id of an entry of bob, whose things have the secret `bobs`."""
    thread = Thread(id="bobs-thread", resource_id="bob", state={"s": "bobs-state"})
    await store.threads.create(thread)
    sent = await store.mailboxes.send("bobs-thread", "bobs-payload")
    meta = RunMeta(agent_id="bobs-agent", status="waiting", input_tokens=777)
    changes = ThreadChangeSet(run_id="bobs-run", run_meta=meta, messages=[Message.user("bobs")])
    await store.threads.append("bobs-thread", changes)
    await store.documents.put("notes", ("bob", "x"), "bobs-document")
    await store.threads.create(Thread(id="mine", resource_id="alice"))
    return sent.entry.entry_id


async def test_a_run_that_names_anothers_entry_does_not_cancel_that(
    store: Store, of_bob: str, alice: httpx.AsyncClient
) -> None:
    run = RunRecord(run_id="r", thread_id="mine", source_mailbox_entry_id=of_bob)
    await store.runs.upsert(run)
    await alice.post("/runs/r/cancel")
    entry = await store.mailboxes.load_entry(of_bob)
    assert entry is not None
    assert entry.status == "queued"


async def test_filters_and_cursors_find_nothing_of_another(
    store: Store, of_bob: str, alice: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for number in range(60):
        await store.threads.create(Thread(id=f"bobs-{number}", resource_id="bob"))
        await store.runs.upsert(RunRecord(run_id=f"bobs-{number}", thread_id="bobs-thread"))
    pages = [
        "/threads?prefix=bobs",
        "/threads?prefix=bobs-thread",
        "/threads?parent_thread_id=bobs-thread",
        "/threads?roots=true",
        "/runs?thread_id=bobs-thread",
        "/runs?parent_run_id=bobs-run",
        "/runs?agent_id=bobs-agent",
        "/usage?by=thread",
        "/usage?by=agent",
        "/usage?by=owner&agent_id=bobs-agent",
        "/documents/notes",
        "/documents/notes?prefix=[]",
        '/documents/notes?prefix=["bob"]',
        "/documents/notes?prefix=bob",
        "/documents/notes/document?key=bob/x",
        '/documents/notes/document/value?key=["bob","x"]',
        "/search?q=notes/bob/x",
        "/search?q=bobs-run",
        "/search?q=bobs-thread",
        f"/search?q={of_bob}",
    ]
    for listing in ("/threads", "/runs"):
        text = (await admin.get(listing)).text
        after = text.partition("after=")[2].partition('"')[0]
        assert after
        pages.append(f"{listing}?after={after}")
    for page in pages:
        answer = await alice.get(page)
        assert "/bobs" not in answer.text, page
        assert not any(each in answer.text for each in ("bobs-document", "777")), page
        assert "location" not in answer.headers, page


async def test_a_stream_ends_when_its_thread_gets_another_owner(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    dashboard = treadle_http.dashboard(
        store, authenticate=treadle_http.everyone(treadle_http.user("alice"))
    )
    async with served(dashboard) as url, httpx.AsyncClient(base_url=url, timeout=10) as browser:
        async with browser.stream("GET", "/threads/t/stream") as answer:
            found = events(answer)
            assert await anext(found) == ("news", {})
            await store.threads.delete("t")
            await store.threads.create(Thread(id="t", resource_id="bob"))
            async with asyncio.timeout(10):
                kinds = [kind async for kind, _ in found]
            await store.live.message("t", "m").text("only for bob")
            assert "piece" not in kinds
        dashboard.streams.end()


async def test_of_two_cookies_the_one_of_the_nearer_path_counts(store: Store) -> None:
    principals = {ALICE: treadle_http.user("alice"), OPS: treadle_http.admin("ops")}
    pages = treadle_http.dashboard(store, authenticate=treadle_http.tokens(principals))
    # Browsers send the cookie with the longest path first.
    cookie = f"treadle-token={OPS}; treadle-theme=dark; treadle-token=of-another-server"
    async with client(Starlette(routes=[Mount("/a", pages)])) as browser:
        page = await browser.get("/a/", headers={"cookie": cookie})
    assert page.status_code == 200
    assert ">ops<" in page.text


async def test_the_run_that_waits_longest_can_be_answered_among_a_thousand(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t"))
    for number in range(1_000):
        metadata: Any = {"interrupts": [{"id": f"i{number}", "message": f"Question {number}?"}]}
        run = RunRecord(
            run_id=f"r{number}",
            thread_id="t",
            status="waiting",
            metadata=metadata,
            created_at=number + 1,
            updated_at=number + 1,
        )
        await store.runs.upsert(run)
    await store.runs.upsert(RunRecord(run_id="busy", thread_id="t", status="running"))
    assert "Question 0?" in (await admin.get("/threads/t")).text
    answered = await admin.post("/threads/t/answer", data={"run_id": "r500", "decision": "yes"})
    assert answered.status_code == 303


@pytest.mark.parametrize("way", ["closed", "unavailable", "other"])
async def test_a_store_that_fails_while_a_page_is_made_says_nothing_of_itself(
    way: str, store: Store, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = "postgres://user:password@db.internal/agents"
    failures = {
        "closed": errors.StoreClosed(f"open {dsn}"),
        "unavailable": errors.StoreUnavailable(dsn, f"cannot connect to {dsn}"),
        "other": RuntimeError(dsn),
    }

    async def fail(*queries: Any) -> Any:
        raise failures[way]

    await store.threads.create(Thread(id="t"))
    monkeypatch.setattr(store, "read", fail)
    monkeypatch.setattr(store, "commit", fail)
    for path in ("/", "/threads/t", "/entries", "/search?q=x"):
        page = await admin.get(path)
        assert page.status_code in (500, 503), path
        assert "password" not in page.text + str(page.headers), path
    form = await admin.post("/mailboxes/m/resume")
    assert "password" not in form.text


HOSTILE_PATHS = (
    "//evil.example/",
    "/%2F%2Fevil.example",
    "/threads/..%2f..%2fetc",
    "/threads/.",
    "/static/%2e%2e/secret",
    "/login?next=//evil.example",
    "/login?next=%0d%0aset-cookie:x",
    "/threads?" + "&".join(f"a{number}=1" for number in range(2_000)),
    "/threads?prefix=" + "x" * 60_000,
    "/documents/notes/document?key=" + "[" * 5_000,
    '/documents/notes/document?key=["\\ud800"]',
    "/threads/" + "%F0%9F%A7%B5" * 60,
    "/threads/x/messages/" + "9" * 40,
    "/threads/t?before=-9223372036854775809",
    "/threads/t?before=-9223372036854775808",
    "/threads/t?before=9223372036854775807",
    "/threads/t/deltas?before=9223372036854775807",
    "/threads/t/deltas?before=-9223372036854775808",
    "/threads/t/state?version=9223372036854775807",
    "/threads/t/state?version=-1",
    "/threads/t/fork?at=9223372036854775807",
    "/threads/t/truncate?at=9223372036854775807",
    "/usage?days=99999999999999999999",
    "/requeue-entries?of=" + "a%3D1%26" * 200,
    "/cancel-entries?entry_id=%25ff",
)


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=lambda path: path[:40])
async def test_odd_requests_get_an_ordinary_page(
    path: str, store: Store, see: See, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t"))
    nobody = await see(treadle_http.admin("ops"), authenticate=lambda request: None)
    huge = {"cookie": "treadle-said=%FF%0D%0A%3Cscript%3E" + "x" * 8_000 + "; treadle-token=%00"}
    for browser in (admin, nobody):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "BREW"):
            answer = await browser.request(
                method, httpx.URL("http://localhost" + path), headers=huge
            )
            assert answer.status_code < 500, (method, answer.text)
            assert "<script>x" not in answer.text
            assert answer.headers.get("cache-control") == "no-store"
            location = answer.headers.get("location", "/")
            assert re.match("/(?!/)", location)
            if method == "HEAD":
                assert not answer.content


async def test_an_id_in_a_line_to_copy_is_nothing_but_a_text(
    store: Store, admin: httpx.AsyncClient
) -> None:
    hostile = '-x", __import__("os").system("id")) #'
    await store.threads.create(Thread(id=hostile))
    path = quote(hostile, safe="")
    for page in (f"/threads/{path}", f"/threads/{path}/mailbox", f"/mailboxes/{path}"):
        text = html.unescape((await admin.get(page)).text)
        assert '("-x\\", __import__(\\"os\\")' in text, page
        assert '("-x", ' not in text, page
    text = html.unescape((await admin.get(f"/threads/{path}/raw")).text)
    assert "treadle threads show -- '-x\"" in text


async def test_times_that_no_calendar_has_are_shown(store: Store, admin: httpx.AsyncClient) -> None:
    far = 9_500_000_000_000_000  # the year 300,000
    await store.threads.create(Thread(id="t"))
    run = RunRecord(run_id="r", thread_id="t", created_at=far, updated_at=far, status="waiting")
    await store.runs.upsert(run)
    await store.mailboxes.send("t", 1, delay_ms=far)
    await store.mailboxes.pause("t", until=far)
    await store.documents.put("d", "k", 1, expires_at=far)
    for page in (
        "/",
        "/threads",
        "/threads/t",
        "/threads/t/runs",
        "/threads/t/mailbox",
        "/runs",
        "/runs/r",
        "/usage",
        "/usage?by=thread",
        "/usage?days=366",
        "/mailboxes/t",
        "/entries?tab=paused",
        "/entries?tab=scheduled",
        "/documents/d",
        "/mailboxes",
    ):
        answer = await admin.get(page)
        assert answer.status_code == 200, page


async def test_an_id_with_invisible_characters_is_answered_and_deleted(
    store: Store, admin: httpx.AsyncClient
) -> None:
    odd = "a\u202e\u200b%41"
    await store.threads.create(Thread(id=odd))
    metadata: Any = {"interrupts": [{"id": "i", "message": "Really?"}]}
    run = RunRecord(run_id=odd, thread_id=odd, status="waiting", metadata=metadata)
    await store.runs.upsert(run)
    path = f"/threads/{quote(odd, safe='')}"
    run_id = (await admin.get(path)).text.partition('name="run_id" value="')[2].partition('"')[0]
    answered = await admin.post(f"{path}/answer", data={"run_id": run_id, "decision": "yes"})
    assert answered.status_code == 303
    wrong = await admin.post(f"{path}/delete", data={"confirmation": "a"})
    assert wrong.status_code == 400
    shown = "a\\u202e\\u200b%41"
    assert (await admin.post(f"{path}/delete", data={"confirmation": shown})).status_code == 303
    assert await store.threads.summary(odd) is None
