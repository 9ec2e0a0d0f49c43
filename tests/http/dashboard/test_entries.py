"""The list of entries: tabs, filters, pages."""

import re

import httpx

from treadle.store.store import Store


def listed(page: httpx.Response) -> list[str]:
    return re.findall(r'href="/entries/([^"]+)"', page.text.partition("<tbody>")[2])


async def send(store: Store, mailbox_id: str) -> str:
    return (await store.mailboxes.send(mailbox_id, "work")).entry.entry_id


async def die(store: Store, mailbox_id: str, error: str) -> str:
    entry_id = await send(store, mailbox_id)
    [entry] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer="w")
    await store.mailboxes.dead_letter(entry, error=error)
    return entry_id


async def test_entries_are_listed_by_what_they_wait_for(
    store: Store, admin: httpx.AsyncClient
) -> None:
    queued = await send(store, "a")
    claimed = await send(store, "b")
    await store.mailboxes.claim(1, mailbox_id="b", consumer="w1")
    dead = await die(store, "c", "ValueError")
    cancelled = await send(store, "d")
    await store.mailboxes.cancel(cancelled)
    assert listed(await admin.get("/entries")) == [queued]
    for tab, entry_id in {"claimed": claimed, "dead": dead, "ended": cancelled}.items():
        assert listed(await admin.get(f"/entries?tab={tab}")) == [entry_id]


async def test_entries_are_found_by_mailbox_error_holder_and_age(
    store: Store, admin: httpx.AsyncClient
) -> None:
    no, late = await die(store, "a", "no"), await die(store, "b", "too late")
    await store.mailboxes.send("c", "work")
    await store.mailboxes.claim(1, mailbox_id="c", consumer="w1")
    assert listed(await admin.get("/entries?tab=dead&mailbox_id=a")) == [no]
    assert listed(await admin.get("/entries?tab=dead&error=late")) == [late]
    assert set(listed(await admin.get("/entries?tab=dead&since=1h"))) == {no, late}
    assert len(listed(await admin.get("/entries?tab=claimed&claimed_by=w1"))) == 1
    nothing = await admin.get("/entries?tab=claimed&claimed_by=w2")
    assert listed(nothing) == []
    assert "Clear the filters" in nothing.text
    assert 'href="/entries?tab=claimed">Clear</a>' in nothing.text
    dead = re.search(r'href="([^"]+)"[^>]*>Dead', nothing.text)
    assert dead is not None
    assert dead[1] == "/entries?tab=dead"  # nobody holds a dead entry


async def test_entries_come_in_pages_newest_first(store: Store, admin: httpx.AsyncClient) -> None:
    sent = [await die(store, f"m{number}", "no") for number in range(60)]
    page = await admin.get("/entries?tab=dead&error=no")
    assert listed(page) == sent[:-51:-1]
    link = re.search(r'href="([^"]+)" rel="next"', page.text)
    assert link is not None
    assert listed(await admin.get(link[1].replace("&amp;", "&"))) == sent[9::-1]


async def test_a_tab_without_entries_says_what_would_fill_it(admin: httpx.AsyncClient) -> None:
    for tab, said in {
        "queued": "store.mailboxes.send(",
        "claimed": "Worker(",
        "dead": "No entry has failed for good.",
        "ended": "No entry has ended.",
    }.items():
        assert said in (await admin.get(f"/entries?tab={tab}")).text


async def test_a_filter_that_is_none_is_refused(admin: httpx.AsyncClient) -> None:
    for query in ("tab=x", "since=5", "after=x", "mailbox_id=a/b", "name=x"):
        assert (await admin.get(f"/entries?{query}")).status_code == 400


async def test_large_payloads_make_no_large_page(store: Store, admin: httpx.AsyncClient) -> None:
    for number in range(50):
        await store.mailboxes.send(f"m{number}", {"text": "<" * 390_000}, dedupe_key="&" * 5_000)
    for path in ("/entries", "/mailboxes", "/mailboxes/m1"):
        page = await admin.get(path)
        assert page.status_code == 200
        assert len(page.content) < 100_000


async def test_long_errors_make_no_large_page(store: Store, admin: httpx.AsyncClient) -> None:
    for number in range(50):
        await die(store, f"m{number}", "<" * 100_000)
    assert len((await admin.get("/entries?tab=dead")).content) < 300_000
