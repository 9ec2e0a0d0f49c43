"""Purging old threads in the dashboard: how many there are is shown, and the days are typed."""

import re

import httpx
import pytest

import treadle.http
from tests.http.dashboard.conftest import See
from tests.http.dashboard.test_chosen_entries import said
from treadle import Message, Thread
from treadle.store.store import Store

PATH = "/purge-threads"
LONG_AGO = 1_000_000


@pytest.fixture(autouse=True)
async def data(store: Store) -> None:
    for key, owner in (("old", "ann"), ("older", "bob"), ("busy", "bob")):
        thread = Thread(id=key, resource_id=owner, messages=(Message.user("hi"),))
        await store.threads.create(thread, now=LONG_AGO)
    await store.mailboxes.send("busy", 1)
    await store.threads.create(Thread(id="new"))


def form_in(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(days|owner)" value="([^"]*)">', page.text)
    return dict(found)


async def left(store: Store) -> set[str]:
    return {*(await store.threads.list()).items}


async def test_old_threads_are_counted_and_deleted(store: Store, admin: httpx.AsyncClient) -> None:
    assert f'href="{PATH}"' in (await admin.get("/threads")).text
    page = await admin.get(f"{PATH}?days=30")
    assert "3 threads were changed last before" in page.text
    form = form_in(page)
    assert form == {"days": "30"}
    for typed in ("", "3", "yes"):
        refused = await admin.post(PATH, data={**form, "confirmation": typed})
        assert refused.status_code == 400
    assert await left(store) == {"old", "older", "busy", "new"}
    done = await admin.post(PATH, data={**form, "confirmation": "30"})
    assert said(await admin.get(done.headers["location"])) == (
        "2 old threads were deleted, with 0 entries. 1 stay: work waits there, or below them."
    )
    assert await left(store) == {"busy", "new"}


async def test_old_threads_of_one_owner_are_deleted(store: Store, admin: httpx.AsyncClient) -> None:
    page = await admin.get(f"{PATH}?days=30&resource_id=ann")
    assert "1 thread was changed last before" in page.text
    form = {**form_in(page), "confirmation": "30"}
    assert (await admin.post(PATH, data=form)).status_code == 303
    assert await left(store) == {"older", "busy", "new"}


async def test_no_thread_may_be_old(admin: httpx.AsyncClient) -> None:
    page = await admin.get(f"{PATH}?resource_id=nobody")
    assert "No thread is that old." in page.text
    for days in ("0", "-1", "x", "99999999999"):
        assert (await admin.get(f"{PATH}?days={days}")).status_code == 400


async def test_who_may_not_purge_sees_no_way_to_it(store: Store, see: See) -> None:
    for principal in (treadle.http.operator("o"), treadle.http.user("ann")):
        browser = await see(principal)
        assert PATH not in (await browser.get("/threads")).text
        assert (await browser.get(PATH)).status_code == 403
        form = {"days": "1", "confirmation": "1"}
        assert (await browser.post(PATH, data=form)).status_code == 403
    assert len(await left(store)) == 4
