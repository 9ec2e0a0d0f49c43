"""Sending to a mailbox, pausing it, resuming it, interrupting it, and cancelling what waits."""

import asyncio
from html import unescape

import httpx

import treadle.http
from tests.http.dashboard.conftest import See
from tests.http.dashboard.test_chosen_entries import form_of, press, said
from treadle import Thread
from treadle.store.store import Store


async def test_a_form_sends_once_however_often_it_is_pressed(
    store: Store, admin: httpx.AsyncClient
) -> None:
    page = await admin.get("/mailboxes/m")
    form = {
        **form_of(page, "/mailboxes/m/send"),
        "text": '{"n": 18446744073709551615}',
        "priority": "7",
    }
    answers = [await admin.post("/mailboxes/m/send", data=form) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    [entry] = (await store.mailboxes.list_entries()).items
    assert entry.payload == {"n": 2**64 - 1}
    assert entry.priority == 7
    assert said(await admin.get("/mailboxes/m")) == "It was sent already."
    other = await admin.get("/mailboxes/m")
    await admin.post(
        "/mailboxes/m/send", data={**form_of(other, "/mailboxes/m/send"), "text": "more"}
    )
    assert len((await store.mailboxes.list_entries()).items) == 2


async def test_a_text_is_sent_as_one(store: Store, admin: httpx.AsyncClient) -> None:
    for text in ("Hello", "[1]", "12"):
        await admin.post("/mailboxes/m/send", data={"text": text})
    entries = (await store.mailboxes.list_entries()).items
    assert [entry.payload for entry in entries] == [
        {"text": text} for text in ("Hello", "[1]", "12")
    ]
    assert entries[0].sender_id == "ops"


async def test_what_cannot_be_sent_stays_in_the_form(
    store: Store, admin: httpx.AsyncClient
) -> None:
    deep = '{"<b>": ' * 200 + "1" + "}" * 200
    answer = await admin.post("/mailboxes/m/send", data={"text": deep})
    assert answer.status_code == 400
    assert "It was not sent: " in answer.text
    assert f">\n{deep}</textarea>" in unescape(answer.text)
    assert "<b>" not in answer.text
    assert "hx-get" not in answer.text  # it would ask for what has no page
    long = deep.replace("1", f'"{"<" * 1_000_000}"')
    assert len((await admin.post("/mailboxes/m/send", data={"text": long})).content) < 100_000
    for wrong in ({"priority": "256"}, {"delay_s": "-1"}, {"delay_s": str(2**62)}):
        answer = await admin.post("/mailboxes/m/send", data={"text": "x", **wrong})
        assert answer.status_code == 400
    assert (await store.mailboxes.list_entries()).items == ()


async def test_a_mailbox_is_paused_and_resumed(store: Store, admin: httpx.AsyncClient) -> None:
    await store.mailboxes.send("m", "work")
    form = {"length": "1h", "reason": "the model is down"}
    answer = await admin.post("/mailboxes/m/pause", data=form)
    page = await admin.get(answer.headers["location"])
    assert said(page).startswith("The mailbox is paused.")
    assert "until <time" in page.text
    assert "the model is down" in page.text
    assert await store.mailboxes.claim(1, consumer="w") == ()
    for _ in range(2):
        page = await press(admin, "/mailboxes/m/resume", page)
        assert said(page) == "The mailbox is not paused."
    assert len(await store.mailboxes.claim(1, consumer="w")) == 1
    assert "/mailboxes/m/resume" not in page.text


async def test_an_interrupt_says_what_it_will_supersede(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await store.mailboxes.send("m", "work")
    [held] = await store.mailboxes.claim(1, consumer="w1")
    await store.mailboxes.pause("m")
    asked = await admin.get("/mailboxes/m/interrupt")
    assert "What is queued or claimed is superseded, 3 entries," in asked.text
    assert "Its generation becomes 1" in asked.text
    assert "The mailbox is paused; its pause ends, too." in asked.text
    assert held.entry_id in asked.text
    done = await press(admin, "/mailboxes/m/interrupt", asked)
    assert said(done) == "The mailbox was interrupted: 3 entries superseded."
    fresh = (await store.mailboxes.send("m", "new")).entry
    again = await press(admin, "/mailboxes/m/interrupt", asked)
    assert said(again) == "Nothing was done: the mailbox has been interrupted meanwhile."
    assert await store.mailboxes.load_entry(fresh.entry_id) == fresh


async def test_all_that_waits_is_cancelled_after_a_question(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await store.mailboxes.send("m", "work")
    await store.mailboxes.claim(1, consumer="w1")
    asked = await admin.get("/mailboxes/m/cancel-pending")
    assert "<h1>Cancel 3 entries?</h1>" in asked.text
    assert "a worker that holds an entry loses it" in asked.text
    done = await press(admin, "/mailboxes/m/cancel-pending", asked)
    assert said(done) == "3 entries cancelled. Nothing waits in the mailbox."
    assert (await store.mailboxes.count_entries("m")).cancelled == 3
    nothing = await admin.get("/mailboxes/m/cancel-pending")
    assert "There is nothing to do" in nothing.text
    assert 'action="/mailboxes/m/cancel-pending"' not in nothing.text


async def test_an_interrupt_that_is_pressed_three_times_at_once_happens_once(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.mailboxes.send("m", "work")
    form = form_of(await admin.get("/mailboxes/m/interrupt"), "/mailboxes/m/interrupt")
    pressed = [admin.post("/mailboxes/m/interrupt", data=form) for _ in range(3)]
    answers = await asyncio.gather(*pressed)
    assert [answer.status_code for answer in answers] == [303, 303, 303]
    state = await store.mailboxes.load("m")
    assert state is not None
    assert state.current_generation == 1


async def test_an_owner_acts_on_their_mailbox_only(store: Store, alice: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    await store.threads.create(Thread(id="his", resource_id="bob"))
    for mailbox_id in ("hers", "his"):
        await store.mailboxes.send(mailbox_id, "work")
    assert "/entries?tab=dead" not in (await alice.get("/mailboxes/hers")).text
    forms = {
        "send": {"text": "1"},
        "pause": {"reason": "x"},
        "resume": {},
        "interrupt": {"generation": "0"},
        "cancel-pending": {},
    }
    before = await store.mailboxes.list_entries(mailbox_id="his")
    for action, form in forms.items():
        assert (await alice.post(f"/mailboxes/his/{action}", data=form)).status_code == 404
        assert (await alice.post(f"/mailboxes/hers/{action}", data=form)).status_code == 303
    assert await store.mailboxes.list_entries(mailbox_id="his") == before
    assert (await store.mailboxes.count_entries("hers")).queued == 0


async def test_who_may_only_look_sees_no_actions(store: Store, see: See) -> None:
    await store.mailboxes.send("m", "work")
    await store.mailboxes.pause("m")
    looking = await see(treadle.http.viewer("v"))
    whole = (await looking.get("/mailboxes/m")).text
    page = whole.partition('id="main"')[2].partition("<dialog")[0]
    assert "<form" not in page
    assert "<button" not in page
    for action in ("send", "pause", "resume", "interrupt", "cancel-pending"):
        assert f"/mailboxes/m/{action}" not in page
        answer = await looking.post(f"/mailboxes/m/{action}", data={"text": "1"})
        assert answer.status_code == 403
    for action in ("interrupt", "cancel-pending"):
        assert (await looking.get(f"/mailboxes/m/{action}")).status_code == 403


async def test_a_refresh_of_an_open_page_leaves_what_was_said_to_the_next(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t"))
    form = {"text": "hello"}
    sent = await admin.post("/mailboxes/t/send", data=form)
    assert sent.status_code == 303
    for page in ("/mailboxes/t", "/", "/threads/gone"):
        refresh = await admin.get(page, headers={"hx-request": "true"})
        assert "It was sent." not in refresh.text
    assert said(await admin.get(sent.headers["location"])) == "It was sent."
    assert said(await admin.get(sent.headers["location"])) == ""
