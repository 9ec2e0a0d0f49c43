"""Erasing an owner in the dashboard: what would be deleted is shown, and the id is typed."""

import asyncio
from urllib.parse import quote

import httpx
import pytest

import treadle.http
from tests.http.dashboard.conftest import See
from tests.http.dashboard.test_chosen_entries import form_of, said
from treadle import Message, Thread
from treadle.store.store import Store
from treadle.testing._harness.dump import read_everything

OWNER = "an\u200bna/&x"
"""An id with a character that pages show as an escape, and with some that URLs have."""


@pytest.fixture(autouse=True)
async def data(store: Store) -> None:
    thread = Thread(id="t", resource_id=OWNER, messages=(Message.user("hi"),))
    await store.threads.create(thread)
    await store.threads.create(Thread(id="of-bob", resource_id="bob"))
    await store.mailboxes.send("t", 1)
    await store.documents.put("notes", ("t", "x"), 1)
    await store.documents.put("notes", (OWNER, "x"), 1)


async def test_it_shows_what_would_be_deleted_and_deletes_it(
    store: Store, admin: httpx.AsyncClient
) -> None:
    before = await read_everything(store, ["t"])
    threads = await admin.get("/threads", params={"resource_id": OWNER})
    assert f"/erase?resource_id={quote(OWNER, safe='')}" in threads.text
    page = await admin.get("/erase", params={"resource_id": OWNER})
    for number in ("1 thread", "0 runs", "1 mailbox", "1 entry", "1 document"):
        assert f"<li>{number}</li>" in page.text
    assert "begin with the ids of 1 of these threads" in page.text
    assert await read_everything(store, ["t"]) == before
    form = form_of(page, "/erase")
    for wrong in ({}, {"confirmation": "bob"}, {"confirmation": "an"}):
        assert (await admin.post("/erase", data={**form, **wrong})).status_code == 400
    assert await read_everything(store, ["t"]) == before
    typed = {**form, "confirmation": OWNER}
    pressed = await asyncio.gather(*(admin.post("/erase", data=typed) for _ in range(3)))
    assert [each.status_code for each in pressed] == [303, 303, 303]
    assert (await store.threads.list()).items == ("of-bob",)
    assert [each.key for each in (await store.documents.list("notes")).items] == [("t", "x")]


async def test_it_says_what_was_deleted_and_what_stays(
    store: Store, admin: httpx.AsyncClient
) -> None:
    form = form_of(await admin.get("/erase", params={"resource_id": OWNER}), "/erase")
    shown = {**form, "confirmation": "an\\u200bna/&x"}
    done = await admin.post("/erase", data=shown)
    assert said(await admin.get(done.headers["location"])) == (
        "Deleted: 1 thread, 0 runs, 1 mailbox, 1 entry, 1 document. Documents whose keys begin with"
        " the ids of these threads stay."
    )


async def test_documents_of_the_threads_are_deleted_if_that_is_ticked(
    store: Store, admin: httpx.AsyncClient
) -> None:
    form = form_of(await admin.get("/erase", params={"resource_id": OWNER}), "/erase")
    ticked = {**form, "confirmation": OWNER, "thread_documents": "true"}
    assert (await admin.post("/erase", data=ticked)).status_code == 303
    assert (await store.documents.list("notes")).items == ()


async def test_who_may_not_erase_sees_no_way_to_it(store: Store, see: See) -> None:
    for principal in (treadle.http.operator("o"), treadle.http.user(OWNER)):
        browser = await see(principal)
        assert "/erase" not in (await browser.get("/threads?resource_id=bob")).text
        assert (await browser.get("/erase?resource_id=bob")).status_code == 403
        form = {"owner": "bob", "confirmation": "bob"}
        assert (await browser.post("/erase", data=form)).status_code == 403
    assert len((await store.threads.list()).items) == 2
