"""Acting on one entry, on some, and on all that match."""

import re
from html import unescape

import httpx
import pytest

import treadle.http
from tests.http.dashboard.conftest import See
from treadle import MailboxEntry, Thread
from treadle.errors import StoreUnavailable
from treadle.store.store import Store

ODD = "\u202eodd &amp;\n id%0A".replace("\n", "")
"""An id that may be, and that a form would change."""


async def die(store: Store, *numbers: int, error: str = "no") -> list[str]:
    """Make dead letters, each in a mailbox of its own; return their ids."""
    ids = [f"e{number:04}" for number in numbers]
    for entry_id in ids:
        await enqueue_dead(store, entry_id, error)
    return ids


async def enqueue_dead(store: Store, entry_id: str, error: str = "no") -> None:
    await store.mailboxes.enqueue(MailboxEntry(entry_id=entry_id, mailbox_id=f"m-{entry_id}"))
    entry = await store.mailboxes.claim_entry(entry_id, consumer="w")
    assert entry is not None
    await store.mailboxes.dead_letter(entry, error=error)


async def statuses(store: Store, *entry_ids: str) -> list[str | None]:
    found = [await store.mailboxes.load_entry(entry_id) for entry_id in entry_ids]
    return [None if entry is None else entry.status for entry in found]


def form_of(page: httpx.Response, path: str) -> dict[str, str]:
    """The hidden fields of the form that is sent to a path; none if the page has no such form."""
    _, _, behind = page.text.partition(f'action="{path}"')
    form = behind.partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    return {name: unescape(value) for name, value in found}


def said(page: httpx.Response) -> str:
    found = re.search(r'role="status">([^<]*)<', page.text)
    return found[1] if found else ""


async def press(browser: httpx.AsyncClient, path: str, page: httpx.Response) -> httpx.Response:
    """Press the button of a page that asks, and follow where that leads."""
    answer = await browser.post(path, data=form_of(page, path))
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


# --- many -----------------------------------------------------------------------------------------


async def test_those_that_were_chosen_are_requeued(store: Store, admin: httpx.AsyncClient) -> None:
    ids = await die(store, 1, 2, 3)
    of = "tab=dead&error=no"
    query = {"entry_id": ids[:2], "of": of}
    asked = await admin.get("/requeue-entries", params=query)
    assert "<h1>Requeue 2 entries?</h1>" in asked.text
    assert await statuses(store, *ids) == ["dead_letter"] * 3
    done = await press(admin, "/requeue-entries", asked)
    assert said(done) == "2 entries are queued again. Others still match."
    assert str(done.url) == f"http://localhost/entries?{of}"
    assert await statuses(store, *ids) == ["queued", "queued", "dead_letter"]


async def test_all_that_match_are_requeued(store: Store, admin: httpx.AsyncClient) -> None:
    ids = await die(store, *range(70))
    others = await die(store, 100, 101, error="late")
    page = await admin.get("/entries?tab=dead&error=no")
    of = form_of(page, "/requeue-entries")["of"]
    asked = await admin.get("/requeue-entries", params={"of": of, "all": "true"})
    assert "<h1>Requeue 70 entries?</h1>" in asked.text
    assert "These are all that match the filters." in asked.text
    done = await press(admin, "/requeue-entries", asked)
    assert said(done) == "70 entries are queued again. None is left that matches."
    assert set(await statuses(store, *ids)) == {"queued"}
    assert await statuses(store, *others) == ["dead_letter"] * 2


async def test_at_most_a_thousand_are_changed_at_a_time(
    store: Store, admin: httpx.AsyncClient
) -> None:
    ids = [f"e{number:04}" for number in range(1_010)]
    for start in range(0, len(ids), 101):
        async with store.batch() as step:
            for entry_id in ids[start : start + 101]:
                entry = MailboxEntry(entry_id=entry_id, mailbox_id="m")
                step.mailboxes.enqueue(entry)
    asked = await admin.get("/cancel-entries?all=true&of=tab%3Ddue")
    assert "<h1>Cancel 1,000 entries?</h1>" in asked.text
    assert "and more match" in asked.text
    assert len(asked.content) < 100_000
    done = await press(admin, "/cancel-entries", asked)
    assert said(done) == "1,000 entries are cancelled. Others still match."
    rest = await admin.get("/cancel-entries?all=true&of=tab%3Ddue")
    assert "<h1>Cancel 10 entries?</h1>" in rest.text
    too_many = {"ids": "\n".join(ids)}
    assert (await admin.post("/cancel-entries", data=too_many)).status_code == 400


async def test_a_button_that_is_pressed_twice_does_no_harm(
    store: Store, admin: httpx.AsyncClient
) -> None:
    ids = await die(store, 1, 2)
    asked = await admin.get("/requeue-entries?all=true&of=tab%3Ddead")
    await press(admin, "/requeue-entries", asked)
    before = [await store.mailboxes.load_entry(entry_id) for entry_id in ids]
    [fresh] = await die(store, 3)
    again = await press(admin, "/requeue-entries", asked)
    assert said(again) == "2 entries are queued again. Others still match."
    assert [await store.mailboxes.load_entry(entry_id) for entry_id in ids] == before
    assert await statuses(store, fresh) == ["dead_letter"]  # it was not counted


async def test_what_changed_between_look_and_click_stays_and_is_said(
    store: Store, admin: httpx.AsyncClient
) -> None:
    first, second, third = await die(store, 1, 2, 3)
    asked = await admin.get("/requeue-entries?all=true&of=tab%3Ddead")
    await store.mailboxes.requeue(first)
    await store.mailboxes.cancel(first)
    await store.mailboxes.delete(f"m-{second}")
    done = await press(admin, "/requeue-entries", asked)
    assert said(done) == (
        "1 entry is queued again. 1 entry had changed meanwhile, and stays as it is."
        " 1 entry had been deleted meanwhile. None is left that matches."
    )
    assert await statuses(store, first, second, third) == ["cancelled", None, "queued"]


async def test_nothing_to_do_is_said(store: Store, admin: httpx.AsyncClient) -> None:
    await store.mailboxes.send("m", "work")
    [entry_id] = [entry.entry_id for entry in (await store.mailboxes.list_entries()).items]
    nothing = {
        "": "You have selected no entry.",
        f"entry_id={entry_id}": "can be requeued: they have changed meanwhile.",
        "all=true&of=tab%3Ddead": "No entry that matches can be requeued.",
        "all=true&of=tab%3Ddue": "No entry that matches can be requeued.",
    }
    for query, why in nothing.items():
        asked = await admin.get(f"/requeue-entries?{query}")
        assert "There is nothing to do" in asked.text
        assert why in asked.text
        assert 'method="post" action="/requeue-entries"' not in asked.text
    assert (await admin.post("/requeue-entries", data={"of": "tab=dead"})).status_code == 400


async def test_an_odd_id_survives_the_forms(store: Store, admin: httpx.AsyncClient) -> None:
    await enqueue_dead(store, ODD)
    page = await admin.get("/entries?tab=dead")
    [value] = re.findall(r'name="entry_id" value="([^"]+)"', page.text)
    asked = await admin.get("/requeue-entries", params={"entry_id": value, "of": "tab=dead"})
    assert said(await press(admin, "/requeue-entries", asked)).startswith("1 entry is queued")
    assert await statuses(store, ODD) == ["queued"]


async def test_long_ids_make_no_large_page(store: Store, admin: httpx.AsyncClient) -> None:
    for number in range(400):
        entry_id = f"{number:03}" + "\u202e" * 65
        await store.mailboxes.enqueue(MailboxEntry(entry_id=entry_id, mailbox_id="m"))
    asked = await admin.get("/cancel-entries?all=true&of=tab%3Ddue")
    assert len(asked.content) < 300_000
    assert "and more match" in asked.text
    done = await press(admin, "/cancel-entries", asked)
    assert "Others still match." in said(done)


async def test_filters_that_are_none_are_refused(admin: httpx.AsyncClient) -> None:
    for query in ("of=tab%3Dx", "of=%C3%A4", "of=x%3D1", "all=maybe", "entry_id=a%2Fb"):
        assert (await admin.get(f"/requeue-entries?{query}")).status_code == 400
    refused = await admin.post("/requeue-entries", data={"ids": "a%2Fb", "of": "tab=dead"})
    assert refused.status_code == 400


async def test_a_failure_in_the_middle_says_how_far_it_came(
    store: Store, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    await die(store, *range(120))
    commits = 0
    commit = store.commit

    async def fail_third(batch: object, **options: object) -> object:
        nonlocal commits
        commits += 1
        if commits == 3:
            raise StoreUnavailable("agents.db", "the disk is full")
        return await commit(batch, **options)  # type: ignore[arg-type]

    browser = await see(treadle.http.admin("ops"))
    asked = await browser.get("/requeue-entries?all=true&of=tab%3Ddead")
    monkeypatch.setattr(store, "commit", fail_third)
    done = await press(browser, "/requeue-entries", asked)
    assert said(done).startswith(
        "100 entries are queued again. Then it failed, so 20 entries stay as before: "
    )
    assert said(done).endswith("Others still match.")


# --- one ------------------------------------------------------------------------------------------


async def test_a_dead_letter_is_requeued_from_its_page(
    store: Store, admin: httpx.AsyncClient
) -> None:
    [entry_id] = await die(store, 1)
    page = await admin.get(f"/entries/{entry_id}")
    assert f'action="/entries/{entry_id}/requeue"' in page.text
    for _ in range(2):
        done = await press(admin, f"/entries/{entry_id}/requeue", page)
        assert said(done) == "The entry is queued again."
    assert await statuses(store, entry_id) == ["queued"]


async def test_an_entry_is_cancelled_after_a_question(
    store: Store, admin: httpx.AsyncClient
) -> None:
    entry_id = (await store.mailboxes.send("m", "work")).entry.entry_id
    await store.mailboxes.claim(1, consumer="w1")
    assert f'href="/entries/{entry_id}/cancel"' in (await admin.get(f"/entries/{entry_id}")).text
    asked = await admin.get(f"/entries/{entry_id}/cancel")
    assert "Its holder loses it." in asked.text
    assert await statuses(store, entry_id) == ["claimed"]
    done = await press(admin, f"/entries/{entry_id}/cancel", asked)
    assert said(done) == "The entry is cancelled."
    assert f'href="/entries/{entry_id}/cancel"' not in done.text


async def test_an_entry_that_has_ended_meanwhile_gets_a_calm_answer(
    store: Store, admin: httpx.AsyncClient
) -> None:
    entry_id = (await store.mailboxes.send("m", "work")).entry.entry_id
    asked = await admin.get(f"/entries/{entry_id}/cancel")
    [entry] = await store.mailboxes.claim(1, consumer="w")
    await store.mailboxes.ack(entry)
    for action in ("cancel", "requeue"):
        done = await press(admin, f"/entries/{entry_id}/{action}", asked)
        assert said(done) == (
            "Nothing was done: the entry has changed meanwhile, and is accepted now."
        )
    assert "The entry has ended meanwhile." in (await admin.get(f"/entries/{entry_id}/cancel")).text
    await store.mailboxes.delete("m")
    assert (await admin.post(f"/entries/{entry_id}/cancel")).status_code == 404


# --- who ------------------------------------------------------------------------------------------


async def test_who_may_only_look_sees_no_buttons(store: Store, see: See) -> None:
    [entry_id] = await die(store, 1)
    queued = (await store.mailboxes.send("m", "work")).entry.entry_id
    viewer = treadle.http.viewer("v")
    for browser in (await see(viewer), await see(treadle.http.admin("a"), read_only=True)):
        for path in (
            "/entries?tab=dead",
            "/entries?tab=due",
            f"/entries/{entry_id}",
            f"/entries/{queued}",
            "/mailboxes/m",
        ):
            page = (await browser.get(path)).text.partition('id="main"')[2]
            assert 'method="post"' not in page
            assert 'type="checkbox"' not in page
            assert "-entries" not in page
            assert "/cancel" not in page
        for path in ("/requeue-entries", "/cancel-entries", f"/entries/{queued}/cancel"):
            assert (await browser.get(path)).status_code == 403
            assert (await browser.post(path, data={"ids": queued})).status_code == 403
    assert await statuses(store, entry_id, queued) == ["dead_letter", "queued"]


async def test_an_owner_acts_on_their_entries_only(store: Store, alice: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    await store.threads.create(Thread(id="his", resource_id="bob"))
    hers = (await store.mailboxes.send("hers", "work")).entry.entry_id
    his = (await store.mailboxes.send("his", "work")).entry.entry_id
    page = await alice.get(f"/entries/{hers}/cancel")
    assert said(await press(alice, f"/entries/{hers}/cancel", page)) == "The entry is cancelled."
    assert (await alice.get(f"/entries/{his}/cancel")).status_code == 404
    assert (await alice.post(f"/entries/{his}/cancel")).status_code == 404
    assert (await alice.post("/cancel-entries", data={"ids": his})).status_code == 403
    assert (await alice.get("/entries")).status_code == 403
    assert await statuses(store, hers, his) == ["cancelled", "queued"]
