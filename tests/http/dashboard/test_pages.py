"""All pages and actions: who may call them, what their answers allow, and what they never have.

The walks are made from the list of operations: a new page or action is walked, too. An action whose
form has fields that it needs must be in `FORMS`.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import treadle
from tests.http.clients_in_process import client
from tests.http.dashboard.conftest import See
from treadle import Message, RunMeta, Thread, ThreadChangeSet
from treadle import http as treadle_http
from treadle.http._dashboard._pages import PAGES
from treadle.http._operation import EVENTS, Operation, check_operation
from treadle.http._owners import ALL
from treadle.store.store import Store

SECRET = "only-for-alice"
EVERYTHING = treadle_http.admin("ops").can
IDS = {
    "thread_id": "thread-of-alice",
    "run_id": "run-of-alice",
    "mailbox_id": "thread-of-alice",
    "entry_id": "",  # made by the store
    "collection": "notes",
    "position": "0",
    "name": "style.css",
}
KEYED = ("/document", "/document/value")
"""How the paths end that lead to one document of a collection, which has no owner itself."""
QUERIES: dict[str, str] = {
    "GET /erase": "resource_id=alice",
    "GET /documents/{collection}/document": "key=alice/secret",
    "GET /documents/{collection}/document/value": "key=alice/secret",
    "GET /threads/{thread_id}/fork": "at=0",
    "GET /threads/{thread_id}/truncate": "at=0",
}
"""What a page needs in its query."""
FORMS: dict[str, dict[str, Any]] = {
    "POST /cancel-entries": {"ids": "e"},
    "POST /erase": {"owner": "alice", "confirmation": "alice"},
    "POST /mailboxes/{mailbox_id}/interrupt": {"generation": "0"},
    "POST /mailboxes/{mailbox_id}/pause": {"reason": "lunch"},
    "POST /mailboxes/{mailbox_id}/send": {"text": "x"},
    "POST /purge-threads": {"days": "1", "confirmation": "1"},
    "POST /requeue-entries": {"ids": "e"},
    "POST /threads/{thread_id}/ask": {"text": "x", "agent": "a"},
    "POST /threads/{thread_id}/answer": {"run_id": "run-of-alice", "decision": "yes"},
    "POST /threads/{thread_id}/delete": {"confirmation": "thread-of-alice"},
    "POST /threads/{thread_id}/fork": {"at": 1, "expected": 1},
    "POST /threads/{thread_id}/messages": {"text": "x"},
    "POST /threads/{thread_id}/send": {"text": "x"},
    "POST /threads/{thread_id}/title": {"title": "x"},
    "POST /threads/{thread_id}/truncate": {"at": 0, "expected": 1},
}
"""What an action needs in its form, by method and path."""


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


PRIVATE = [each for each in PAGES if not each.owner.is_public]
READ = [each for each in PAGES if each.is_safe and EVENTS not in each.answers.values()]
LISTINGS = [
    each
    for each in PRIVATE
    if each.owner is not ALL and each.ids in ((), ("collection",)) and not each.path.endswith(KEYED)
]
NAMED = [each for each in PRIVATE if each.ids and each not in LISTINGS]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with treadle.open_store("memory:") as opened:
        thread = Thread(id="thread-of-alice", resource_id="alice", state={"s": SECRET})
        await opened.threads.create(thread)
        sent = await opened.mailboxes.send("thread-of-alice", SECRET, dedupe_key="k")
        meta = RunMeta(agent_id=SECRET, source_mailbox_entry_id=sent.entry.entry_id)
        changes = ThreadChangeSet(
            run_id="run-of-alice", run_meta=meta, messages=[Message.user(SECRET)]
        )
        await opened.threads.append("thread-of-alice", changes)
        await opened.documents.put("notes", ("alice", "secret"), SECRET)
        IDS["entry_id"] = sent.entry.entry_id
        yield opened


def url_of(operation: Operation, ids: dict[str, str]) -> str:
    path = re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], operation.path)
    query = QUERIES.get(name_of(operation))
    return f"{path}?{query}" if query else path


async def call(
    browser: httpx.AsyncClient, operation: Operation, ids: dict[str, str]
) -> httpx.Response:
    url = url_of(operation, ids)
    if EVENTS in operation.answers.values():  # a stream has no end
        return await browser.head(url)
    if operation.method == "GET":
        return await browser.get(url)
    return await browser.post(url, data=FORMS.get(name_of(operation), {}))


async def dump(store: Store) -> str:
    """Everything in the store, as text."""
    found = (
        await store.threads.list_summaries(),
        await store.threads.load("thread-of-alice"),
        await store.runs.list(),
        await store.mailboxes.load("thread-of-alice"),
        await store.mailboxes.list_entries(),
        await store.documents.list("notes"),
    )
    return repr(found)


@pytest.mark.parametrize("operation", PAGES, ids=name_of)
def test_a_page_has_an_action_and_an_owner_rule(operation: Operation) -> None:
    check_operation(operation)
    assert operation.method in ("GET", "POST")  # what forms can send
    assert operation.body is None
    assert operation.summary.endswith(".")


@pytest.mark.parametrize("operation", PRIVATE, ids=name_of)
async def test_who_lacks_the_right_is_refused(operation: Operation, store: Store, see: See) -> None:
    assert operation.action is not None
    others = treadle_http.Principal(
        id="most", owner=treadle_http.ALL_OWNERS, can=EVERYTHING - {operation.action}
    )
    before = await dump(store)
    refused = await call(await see(others), operation, IDS)
    assert refused.status_code == 403
    assert SECRET not in refused.text
    nobody = await call(await see(others, authenticate=lambda _: None), operation, IDS)
    assert nobody.status_code == 303
    assert nobody.headers["location"].startswith("/login")
    assert await dump(store) == before


@pytest.mark.parametrize("operation", NAMED, ids=name_of)
async def test_what_is_anothers_does_not_exist(operation: Operation, store: Store) -> None:
    bob = treadle_http.Principal(id="bob", owner="bob", can=EVERYTHING)
    before = await dump(store)
    app = treadle_http.dashboard(store, authenticate=treadle_http.everyone(bob))
    async with client(app) as browser:
        answer = await call(browser, operation, IDS)
        missing = await call(browser, operation, dict.fromkeys(IDS, "nothing-has-this-id"))
    assert answer.status_code == missing.status_code == (403 if operation.owner is ALL else 404)
    assert SECRET not in answer.text
    assert await dump(store) == before


@pytest.mark.parametrize("operation", LISTINGS, ids=name_of)
async def test_a_list_has_nothing_of_anothers(operation: Operation, see: See) -> None:
    bob = treadle_http.Principal(id="bob", owner="bob", can=EVERYTHING)
    browser = await see(bob)
    answer = await call(browser, operation, IDS)
    assert answer.status_code < 400
    assert "of-alice" not in answer.text
    assert SECRET not in answer.text
    url = url_of(operation, IDS)
    foreign = f"{url}{'&' if '?' in url else '?'}resource_id=alice"
    assert (await browser.request(operation.method, foreign)).status_code in (400, 403)


@pytest.mark.parametrize("operation", [each for each in PRIVATE if each.owner is ALL], ids=name_of)
async def test_what_is_about_all_owners_is_refused_to_each(operation: Operation, see: See) -> None:
    alice = treadle_http.Principal(id="alice", owner="alice", can=EVERYTHING)
    assert (await call(await see(alice), operation, IDS)).status_code == 403


ACTIONS = [each for each in PRIVATE if not each.is_safe]


@pytest.mark.parametrize("operation", ACTIONS, ids=name_of)
async def test_a_page_of_another_site_and_a_server_that_only_reads_do_nothing(
    operation: Operation, store: Store, see: See
) -> None:
    before = await dump(store)
    admin = treadle_http.admin("ops")
    browser = await see(admin)
    url, form = url_of(operation, IDS), FORMS.get(name_of(operation), {})
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        refused = await browser.post(url, data=form, headers=headers)
        assert refused.status_code == 403
    assert (await call(await see(admin, read_only=True), operation, IDS)).status_code == 403
    if operation.form is not None:
        assert (await browser.post(url, json=form)).status_code == 415
    assert await dump(store) == before


@pytest.mark.parametrize("operation", READ, ids=name_of)
async def test_a_page_allows_no_script_nor_style_but_its_files(
    operation: Operation, admin: httpx.AsyncClient
) -> None:
    answer = await call(admin, operation, IDS)
    assert answer.status_code in (200, 303)
    assert answer.headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", answer.text)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("operation", READ, ids=name_of)
async def test_links_lead_below_the_path_of_the_mount(operation: Operation, store: Store) -> None:
    everyone = treadle_http.everyone(treadle_http.admin("ops"))
    dashboard = treadle_http.dashboard(store, authenticate=everyone)
    async with client(Starlette(routes=[Mount("/a b/treadle", dashboard)])) as browser:
        answer = await browser.get("/a%20b/treadle" + url_of(operation, IDS))
        assert answer.status_code in (200, 303)
        links = re.findall(r'(?:href|src|action|hx-get)="([^"#]+)"', answer.text)
        links += [answer.headers[name] for name in ("location",) if name in answer.headers]
        assert [link for link in links if not link.startswith("/a%20b/treadle/")] == []
