"""The list of mailboxes, and the page of one."""

import re

import httpx

from treadle.clock import system_clock
from treadle.store.store import Store


def listed(page: httpx.Response) -> list[str]:
    return re.findall(r'href="/mailboxes/([^"]+)"', page.text.partition("<tbody>")[2])


def facts(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]+)</dt><dd>(.*?)</dd>", page.text, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", text).strip() for name, text in found}


def tabs(page: httpx.Response) -> dict[str, str]:
    """The counts of the tabs, by name."""
    nav = page.text.partition('class="tabs"')[2].partition("</nav>")[0]
    found = re.findall(r'>(\w+)(?: <span class="count">([^<]*)</span>)?</a>', nav)
    return dict(found)


async def test_mailboxes_come_in_pages(store: Store, admin: httpx.AsyncClient) -> None:
    for number in range(60):
        await store.mailboxes.send(f"m{number:02}", "work")
    for by in ("updated_at", "id"):
        page = await admin.get(f"/mailboxes?by={by}")
        link = re.search(r'href="([^"]+)" rel="next"', page.text)
        assert link is not None
        rest = await admin.get(link[1].replace("&amp;", "&"))
        found = listed(page) + listed(rest)
        assert sorted(found) == [f"m{number:02}" for number in range(60)]
        assert len(listed(rest)) == 10


async def test_a_list_says_who_holds_a_mailbox_and_which_is_paused(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.mailboxes.send("m", "work")
    await store.mailboxes.claim(1, consumer="w1", lease_ms=90_500)
    await store.mailboxes.send("m", "more")
    await store.mailboxes.pause("m")
    page = (await admin.get("/mailboxes")).text
    assert "w1" in page
    assert "for 1 min more" in page
    assert ">paused</span>" in page
    await store.mailboxes.resume("m")
    assert ">paused</span>" not in (await admin.get("/mailboxes")).text


async def test_a_page_says_what_is_in_a_mailbox(store: Store, admin: httpx.AsyncClient) -> None:
    await store.mailboxes.send("m", "first")
    [claimed] = await store.mailboxes.claim(1, consumer="w1", lease_ms=90_500)
    later = (await store.mailboxes.send("m", "later", delay_ms=7_200_900)).entry
    await store.mailboxes.interrupt("other")
    page = await admin.get("/mailboxes/m")
    found = facts(page)
    assert found["Held by"] == "w1, for 1 min more"
    assert found["Next due"] == "in 2 h"
    assert tabs(page) == {
        "All": "",
        "Due": "0",
        "Scheduled": "1",
        "Retrying": "0",
        "Claimed": "1",
        "Dead": "0",
        "Ended": "0",
    }
    assert (found["Generation"], facts(await admin.get("/mailboxes/other"))["Generation"]) == (
        "0 (after 0 interrupts)",
        "1 (after 1 interrupt)",
    )
    for entry in (claimed, later):
        assert f'href="/entries/{entry.entry_id}"' in page.text
    scheduled = await admin.get("/mailboxes/m?tab=scheduled")
    assert claimed.entry_id not in scheduled.text
    assert later.entry_id in scheduled.text


async def test_a_page_says_that_a_mailbox_is_paused_and_why(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.mailboxes.pause("m", reason="the <model> is down")
    page = (await admin.get("/mailboxes/m")).text
    assert "until somebody resumes it" in page
    assert "the &lt;model&gt; is down" in page


async def test_an_over_lease_says_so(store: Store, admin: httpx.AsyncClient) -> None:
    past = system_clock() - 60_000
    await store.mailboxes.send("m", "work", now=past)
    await store.mailboxes.claim(1, consumer="w1", lease_ms=1, now=past)
    assert "lease expired" in facts(await admin.get("/mailboxes/m"))["Held by"]


async def test_a_mailbox_to_which_nothing_was_sent_says_how_to(admin: httpx.AsyncClient) -> None:
    assert "store.mailboxes.send(" in (await admin.get("/mailboxes/m")).text
    assert "store.mailboxes.send(" in (await admin.get("/mailboxes")).text
