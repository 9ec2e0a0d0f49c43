"""The list of entries: tabs, filters, pages."""

import re
from html import unescape

import httpx

import treadle.http
from tests.http.dashboard.conftest import See
from tests.http.dashboard.hostile_store import EVERYTHING
from tests.http.dashboard.test_mailboxes import tabs
from treadle import Json, MailboxEntry
from treadle.clock import system_clock
from treadle.store.store import Store


def listed(page: httpx.Response) -> list[str]:
    return re.findall(r'href="/entries/([^"]+)"', page.text.partition("<tbody>")[2])


async def send(store: Store, mailbox_id: str, now: int | None = None) -> str:
    return (await store.mailboxes.send(mailbox_id, "work", now=now)).entry.entry_id


async def die(store: Store, mailbox_id: str, error: str) -> str:
    entry_id = await send(store, mailbox_id)
    [entry] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer="w")
    await store.mailboxes.dead_letter(entry, error=error)
    return entry_id


async def test_entries_are_listed_by_what_they_wait_for(
    store: Store, admin: httpx.AsyncClient
) -> None:
    expected = {"due": await send(store, "a"), "claimed": await send(store, "b")}
    await store.mailboxes.claim(1, mailbox_id="b", consumer="w1")
    expected["dead"] = await die(store, "c", "ValueError")
    expected["ended"] = await send(store, "d")
    await store.mailboxes.cancel(expected["ended"])
    later = await store.mailboxes.send("e", "work", delay_ms=1_000_000)
    expected["scheduled"] = later.entry.entry_id
    expected["retrying"] = await send(store, "f")
    [entry] = await store.mailboxes.claim(1, mailbox_id="f", consumer="w1")
    await store.mailboxes.nack(entry, error="429", retry_at=entry.updated_at + 1_000_000)
    page = await admin.get("/entries")
    assert listed(page) == [expected["due"]]
    assert tabs(page) == {name.title(): "1" for name in expected} | {"Paused": "0"}
    for tab, entry_id in expected.items():
        assert listed(await admin.get(f"/entries?tab={tab}")) == [entry_id]
    await store.mailboxes.pause("e")
    assert listed(await admin.get("/entries?tab=paused")) == [expected["scheduled"]]


async def test_what_waits_longest_and_what_is_due_first_comes_first(
    store: Store, admin: httpx.AsyncClient
) -> None:
    now = system_clock()
    due = [await send(store, f"m{number}", now=now - 9_000 + number) for number in range(60)]
    page = await admin.get("/entries")
    assert listed(page) == due[:50]
    link = re.search(r'href="([^"]+)" rel="next"', page.text)
    assert link is not None
    assert listed(await admin.get(unescape(link[1]))) == due[50:]
    for delay in (9_000_000, 1_000_000, 5_000_000):
        await store.mailboxes.send("s", "work", delay_ms=delay)
    times = re.findall(r"due <time[^>]*>([^<]+)<", (await admin.get("/entries?tab=scheduled")).text)
    assert times == ["in 16 min", "in 1 h", "in 2 h"]


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
        "due": "store.mailboxes.send(",
        "scheduled": "delay_ms=",
        "retrying": "whose handler has failed",
        "paused": "store.mailboxes.pause(",
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


async def test_long_names_make_no_large_page(store: Store, admin: httpx.AsyncClient) -> None:
    long = "&" * 20_000
    last = ""
    for number in range(50):
        mailbox_id = f"m{number}"
        sent = await store.mailboxes.send(mailbox_id, 1, sender_id=long, dedupe_key=long)
        last = sent.entry.entry_id
        await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer=long)
        await store.mailboxes.send(mailbox_id, 2)
        await store.mailboxes.pause(mailbox_id, reason=long)
        await store.mailboxes.enqueue(MailboxEntry(entry_id=f"e{number}", mailbox_id="m0"))
    lists = ("/entries?tab=claimed", "/entries?tab=paused", "/mailboxes")
    for path in (*lists, "/mailboxes/m0", f"/entries/{last}"):
        page = await admin.get(path)
        assert page.status_code == 200
        assert len(page.content) < 100_000


async def test_long_errors_make_no_large_page(store: Store, admin: httpx.AsyncClient) -> None:
    for number in range(50):
        await die(store, f"m{number}", "<" * 100_000)
    assert len((await admin.get("/entries?tab=dead")).content) < 300_000


# --- errors ---------------------------------------------------------------------------------------


def errors(page: httpx.Response) -> list[tuple[str, str]]:
    """The errors of a page, with how many have each."""
    table = page.text.partition('id="errors"')[2].partition("</table>")[0]
    found = re.findall(
        r'<span class="brief">(.*?)</span>\s*(?:</a>)?\s*</td>\s*<td class="number">(\d+)<',
        table,
        re.DOTALL,
    )
    return [(unescape(error).strip(), count) for error, count in found]


async def test_a_list_says_what_entries_are_about_unless_it_is_internal(
    store: Store, admin: httpx.AsyncClient, see: See
) -> None:
    secret = {"role": "user", "content": "between us", "visibility": "internal"}
    await store.mailboxes.send("a", {"text": "Book a room", "messages": [secret]})
    everything = treadle.http.admin("ops")
    outside = treadle.http.Principal(
        id="o", owner=treadle.http.ALL_OWNERS, can=everything.can - {"read_internal"}
    )
    for path in ("/entries", "/mailboxes/a"):
        assert "Book a room" in (await admin.get(path)).text
        hidden = (await (await see(outside)).get(path)).text
        assert ("Book a room" in hidden, "between us" in hidden) == (True, False)


async def test_errors_are_grouped_and_lead_to_their_entries(
    store: Store, admin: httpx.AsyncClient
) -> None:
    late = [await die(store, f"a{number}", "too late") for number in range(3)]
    [broken] = [await die(store, "b", "ValueError: <b>\nin line 7")]
    page = await admin.get("/entries?tab=dead")
    assert errors(page) == [("too late", "3"), ("ValueError: <b>\nin line 7", "1")]
    links = re.findall(r'<td><a href="([^"]+)">', page.text)
    found = [listed(await admin.get(unescape(link))) for link in links]
    assert [set(entries) for entries in found] == [set(late), {broken}]
    asking = re.findall(r'href="([^"]+)">Requeue…<', page.text)
    asked = [(await admin.get(unescape(link))).text for link in asking]
    assert ["Requeue 3 entries?" in asked[0], "Requeue 1 entry?" in asked[1]] == [True, True]
    assert errors(await admin.get("/entries?tab=dead&mailbox_id=b")) == errors(page)[1:]
    for query in ("tab=dead&error=late", "tab=dead&since=1h", "tab=due"):
        assert errors(await admin.get(f"/entries?{query}")) == []


async def test_hostile_errors_lead_to_their_entries(store: Store, admin: httpx.AsyncClient) -> None:
    odd = [EVERYTHING, "x" * 5_000, "late\u202e", "tab\there", 'quote " \\ \u00e4 \U0001f9f5']
    ids = {error: await die(store, f"m{number}", error) for number, error in enumerate(odd)}
    hidden = await die(store, "hidden", "\u202elate")
    page = await admin.get("/entries?tab=dead")
    assert len(errors(page)) == 6
    links = re.findall(r'<td><a href="([^"]+)">', page.text)
    assert len(links) == 5
    found = [listed(await admin.get(unescape(link))) for link in links]
    assert {entry_id for entries in found for entry_id in entries} - {hidden} == {*ids.values()}
    assert len(page.content) < 100_000


async def test_an_error_that_the_hook_hides_is_in_no_link(store: Store, see: See) -> None:
    await die(store, "a", "password=secret")
    await die(store, "b", "too late")

    def redact(kind: str, value: Json) -> Json:
        return "[hidden]" if kind == "error" and "secret" in str(value) else value

    browser = await see(treadle.http.admin("ops"), redact=redact)
    page = await browser.get("/entries?tab=dead")
    assert "secret" not in page.text
    assert sorted(error for error, _ in errors(page)) == ["[hidden]", "too late"]
    assert page.text.count("error=") == 1
    assert page.text.count("error%3D") == 1
