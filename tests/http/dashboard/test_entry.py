"""The page of an entry: why it does not run, what became of it, and what is in it."""

import re
from typing import get_args

import httpx
import pytest

import treadle
import treadle.http
from tests.http.clients_in_process import client
from tests.http.dashboard.hostile_store import EVERYTHING, ID, MARKUP
from treadle import (
    MailboxEntry,
    MailboxState,
    Message,
    ObstacleKind,
    RunMeta,
    Thread,
    ThreadChangeSet,
)
from treadle.clock import system_clock
from treadle.commands import RestoreMailbox
from treadle.store.store import Store
from treadle.testing.clock import ManualClock


def text_of(page: httpx.Response) -> str:
    """The text of a page, as a reader sees it."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.text.partition('id="live"')[2]))


async def send(store: Store, delay_ms: int = 0) -> str:
    return (await store.mailboxes.send("m", "work", delay_ms=delay_ms)).entry.entry_id


async def obstacle(store: Store, kind: str) -> tuple[str, str]:
    """Make an entry that does not run for a reason; return its id, and what its page says of it."""
    match kind:
        case "ended":
            entry_id = await send(store)
            await store.mailboxes.cancel(entry_id)
            return entry_id, "It has ended now, because somebody cancelled it. cancelled"
        case "held":
            entry_id = await send(store)
            await store.mailboxes.claim(1, consumer="w1", lease_ms=90_500)
            return entry_id, "w1 works on it; the lease ends in 1 min unless it is renewed."
        case "not_due":
            return await send(store, delay_ms=7_200_900), "It is not due yet. It is due in 2 h."
        case "paused":
            entry_id = await send(store)
            await store.mailboxes.pause("m", reason="the model is down")
            said = "Its mailbox was paused now, until somebody resumes it. the model is down"
            return entry_id, said
        case "mailbox_held":
            await send(store)
            await store.mailboxes.claim(1, consumer="w1", lease_ms=90_500)
            said = "w1 holds its mailbox; the lease ends in 1 min unless it is renewed: it works on"
            return await send(store), said
        case "behind_retry":
            await send(store)
            [first] = await store.mailboxes.claim(1, consumer="w1")
            await store.mailboxes.nack(
                first, error="429", retry_at=first.updated_at + 7_200_900, keep_order=True
            )
            said = "waits for its retry in 2 h, and keeps its order. 429"
            return await send(store), said
        case "behind_entry":
            first_id = await send(store)
            return await send(store), f"Another entry comes first: {first_id}."
        case _:
            await store.mailboxes.enqueue(MailboxEntry(entry_id="e", mailbox_id="m", generation=1))
            interrupted = MailboxState(mailbox_id="m", current_generation=2)
            await store.commit((RestoreMailbox(mailbox=interrupted),))
            return "e", "it came after 1 interrupt, and there were 2."


@pytest.mark.parametrize("kind", get_args(ObstacleKind))
async def test_a_page_says_why_an_entry_does_not_run(
    store: Store, admin: httpx.AsyncClient, kind: str
) -> None:
    entry_id, said = await obstacle(store, kind)
    page = await admin.get(f"/entries/{entry_id}")
    assert said in text_of(page)


async def test_an_entry_that_nothing_keeps_says_so(store: Store, admin: httpx.AsyncClient) -> None:
    page = await admin.get(f"/entries/{await send(store)}")
    assert "Nothing keeps it" in text_of(page)


async def test_a_page_says_that_the_lease_has_expired() -> None:
    clock = ManualClock(system_clock())
    async with treadle.open_store("memory:", clock=clock) as store:
        entry_id = await send(store)
        await store.mailboxes.claim(1, consumer="w1", lease_ms=1_000)
        everyone = treadle.http.everyone(treadle.http.operator("o"))
        app = treadle.http.dashboard(store, authenticate=everyone)
        async with client(app) as browser:
            held = text_of(await browser.get(f"/entries/{entry_id}"))
            clock.now += 2_000
            over = text_of(await browser.get(f"/entries/{entry_id}"))
    assert "Who works on it w1 works on it" in held
    assert "Why it does not run The lease of w1 has expired" in over
    assert "Nothing else keeps it" in over


async def test_a_page_shows_what_became_of_an_entry(store: Store, admin: httpx.AsyncClient) -> None:
    entry_id = await send(store)
    assert steps(await admin.get(f"/entries/{entry_id}")) == ["Sent", "Due"]
    [entry] = await store.mailboxes.claim(1, consumer="w1")
    assert steps(await admin.get(f"/entries/{entry_id}")) == ["Sent", "Due", "Claimed"]
    await store.mailboxes.dead_letter(entry, error="ValueError: no", traceback="line 7")
    page = await admin.get(f"/entries/{entry_id}")
    assert steps(page) == ["Sent", "Due", "Failed for good"]
    assert "ValueError: no" in page.text
    assert "line 7" in page.text
    later = await send(store, delay_ms=1_000_000)
    await store.mailboxes.cancel(later)
    assert steps(await admin.get(f"/entries/{later}")) == ["Sent", "Cancelled"]


def steps(page: httpx.Response) -> list[str]:
    return re.findall(r"<li[^>]*><strong>(\w[\w ]*)</strong>", page.text.partition('"steps"')[2])


async def test_a_page_names_the_runs_of_an_entry(store: Store, admin: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="m"))
    entry_id = await send(store)
    for run_id, source in (("r-other", None), ("r-its", entry_id)):
        meta = RunMeta(agent_id="desk", source_mailbox_entry_id=source)
        await store.threads.append("m", ThreadChangeSet(run_id=run_id, run_meta=meta))
    page = await admin.get(f"/entries/{entry_id}")
    assert 'href="/runs/r-its"' in page.text
    assert "r-other" not in page.text


async def test_a_large_payload_is_cut_and_can_be_read_as_a_whole(
    store: Store, admin: httpx.AsyncClient
) -> None:
    payload = {"messages": ["<" * 1_000] * 390}
    headers = {f"<{number}>" * 10: "&" * 200 for number in range(10)}
    sent = await store.mailboxes.send("m", payload, headers=headers)
    page = await admin.get(f"/entries/{sent.entry.entry_id}")
    assert len(page.content) < 300_000
    assert "Show all of it" in page.text
    whole = await admin.get(f"/entries/{sent.entry.entry_id}/payload")
    assert whole.headers["content-type"].startswith("text/plain")
    assert len(whole.content) > 390_000


async def test_an_owner_sees_nothing_internal(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="m", resource_id="alice"))
    messages = [{"visibility": "internal", "content": "the secret rule"}, {"content": "hello"}]
    sent = await store.mailboxes.send("m", {"messages": messages})
    [entry] = await store.mailboxes.claim(1, consumer="w1")
    await store.mailboxes.dead_letter(entry, error="ValueError", traceback="secret.py")
    for path in ("", "/payload"):
        url = f"/entries/{sent.entry.entry_id}{path}"
        assert "the secret rule" in (await admin.get(url)).text
        shown = (await alice.get(url)).text
        assert "hello" in shown
        assert "secret" not in shown


async def test_hostile_entries_are_shown_harmlessly(store: Store, admin: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id=ID))
    await store.threads.append(ID, Message.user("hello"))
    sent = await store.mailboxes.send(
        ID, {EVERYTHING: EVERYTHING}, headers={MARKUP[:100]: MARKUP}, sender_id=EVERYTHING
    )
    await store.mailboxes.send(ID, 2**63 - 1, dedupe_key=EVERYTHING)
    [entry] = await store.mailboxes.claim(1, consumer=EVERYTHING)
    for path in (f"/entries/{sent.entry.entry_id}", "/entries?tab=claimed", "/mailboxes"):
        await harmless(admin, path)
    await store.mailboxes.dead_letter(entry, error=EVERYTHING, traceback=EVERYTHING)
    await store.mailboxes.pause(ID, reason=EVERYTHING)
    for path in (f"/entries/{sent.entry.entry_id}", "/entries?tab=dead", "/mailboxes"):
        await harmless(admin, path)


async def harmless(browser: httpx.AsyncClient, path: str) -> None:
    page = await browser.get(path)
    assert page.status_code == 200
    assert "<img src=x" not in page.text
    assert "<script>alert" not in page.text
    assert not re.search("[\u202e\u200b\x1b\x07\u2066]", page.text)


async def test_numbers_keep_all_their_digits(store: Store, admin: httpx.AsyncClient) -> None:
    sent = await store.mailboxes.send("m", {"n": 2**64 - 1})
    assert "18446744073709551615" in (await admin.get(f"/entries/{sent.entry.entry_id}")).text
