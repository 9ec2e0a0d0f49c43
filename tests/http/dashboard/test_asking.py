"""Sending to an agent from the page of a thread: a request for a run, or a payload."""

import asyncio
import re
from urllib.parse import quote

import httpx
import pytest

import treadle.http
from tests.http.dashboard.conftest import See
from tests.http.dashboard.test_chosen_entries import form_of, said
from tests.http.dashboard.test_pages import FORMS, name_of
from treadle import Message, RunRequest, Thread
from treadle.http._dashboard._pages import PAGES
from treadle.http._operation import Operation
from treadle.store.store import Store
from treadle.testing._harness.dump import read_everything
from treadle.worker import Delivery, Turn, Worker

ASK = "/threads/t/ask"
AGENT = "help\u200ber"
"""An agent whose name has a character that pages show as an escape."""


@pytest.fixture(autouse=True)
async def thread(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))


async def answer(delivery: Delivery) -> None:
    """A handler that expects requested runs."""
    turn = Turn(delivery)
    async with delivery.batch() as step:
        step.threads.append(turn.request.thread_id, turn.changes(Message.assistant("Hello")))


async def work_off(store: Store) -> list[str]:
    """Let a worker work off what waits; return the statuses of all entries."""
    await Worker(store, answer).run(until_idle=True)
    page = await store.mailboxes.list_entries()
    return [entry.status for entry in page.items]


async def ask(store: Store) -> None:
    request = RunRequest(agent_id=AGENT, thread_id="t", run_id="first")
    await store.runs.request(request, Message.user("hi", id="m"))


async def test_what_is_sent_asks_for_a_run_as_the_entries_of_the_mailbox_do(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await ask(store)
    page = await admin.get("/threads/t")
    assert "Send to the agent" in page.text
    form = form_of(page, ASK)
    assert form["known_agent"] == quote(AGENT)
    answers = await asyncio.gather(
        *(admin.post(ASK, data={**form, "text": "one\r\ntwo"}) for _ in range(3))
    )
    assert [each.status_code for each in answers] == [303, 303, 303]
    assert said(await admin.get("/threads/t")).startswith("It was sent")
    entries = (await store.mailboxes.list_entries()).items
    request = RunRequest.of(entries[1])
    assert (len(entries), request.agent_id, entries[1].sender_id) == (2, AGENT, "ops")
    assert request.resource_id == "alice"
    messages = (await store.threads.list_messages("t")).messages
    assert [each.message.content for each in messages] == ["hi", "one\ntwo"]
    assert await work_off(store) == ["accepted", "accepted"]


async def test_an_agent_that_is_named_is_asked(store: Store, admin: httpx.AsyncClient) -> None:
    page = await admin.get("/threads/t")
    assert "known_agent" not in page.text
    form = {**form_of(page, ASK), "text": "hello", "agent": "100%25"}
    assert (await admin.post(ASK, data=form)).status_code == 303
    [entry] = (await store.mailboxes.list_entries()).items
    assert RunRequest.of(entry).agent_id == "100%25"
    assert await work_off(store) == ["accepted"]


async def test_both_ways_are_offered(store: Store, admin: httpx.AsyncClient) -> None:
    page = (await admin.get("/threads/t")).text
    assert 'action="/threads/t/send"' in page
    await ask(store)
    page = (await admin.get("/threads/t")).text
    assert 'formaction="/threads/t/send"' in page
    await admin.post("/threads/t/send", data={"text": '{"refund": 40}', "key": "k"})
    assert (await store.mailboxes.list_entries()).items[1].payload == {"refund": 40}
    page = (await admin.get("/threads/t")).text
    assert "known_agent" in page  # an entry before it requests a run


async def test_an_agent_is_known_by_a_run_when_its_entry_is_gone(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await ask(store)
    await work_off(store)
    await store.mailboxes.purge(2**62)
    form = form_of(await admin.get("/threads/t"), ASK)
    assert form["known_agent"] == quote(AGENT)


async def test_a_run_needs_an_agent_and_a_text(store: Store, admin: httpx.AsyncClient) -> None:
    for form in ({"text": "x"}, {"agent": "a"}, {"text": "x", "agent": " "}):
        assert (await admin.post(ASK, data=form)).status_code == 400
    assert (
        await admin.post("/threads/none/ask", data={"text": "x", "agent": "a"})
    ).status_code == 404
    assert (await store.mailboxes.list_entries()).items == ()


async def test_another_s_thread_and_run_are_not_asked(store: Store, see: See) -> None:
    await ask(store)
    await store.threads.create(Thread(id="of-bob", resource_id="bob"))
    bob = await see(treadle.http.user("bob"))
    form = {"text": "x", "agent": "a"}
    assert (await bob.post(ASK, data=form)).status_code == 404
    stolen = await bob.post("/threads/of-bob/ask", data={**form, "key": "first"})
    assert stolen.status_code == 409  # as over the API, an id that is taken can be seen
    assert len((await store.mailboxes.list_entries()).items) == 1


async def test_who_may_only_chat_asks(store: Store, see: See) -> None:
    await ask(store)
    browser = await see(treadle.http.chat_user("alice"))
    page = await browser.get("/threads/t")
    assert "/threads/t/send" not in page.text
    assert "/threads/t/messages" not in page.text.partition('class="compose"')[2]
    form = {**form_of(page, ASK), "text": "hello"}
    assert (await browser.post(ASK, data=form)).status_code == 303
    assert len((await store.mailboxes.list_entries()).items) == 2
    assert (await browser.post("/threads/t/send", data={"text": "x"})).status_code == 403
    looking = await see(treadle.http.viewer("v"))
    assert 'class="compose"' not in (await looking.get("/threads/t")).text
    assert (await looking.post(ASK, data=form)).status_code == 403


# --- who may only chat ----------------------------------------------------------------------------

MAY = {
    "POST /threads/{thread_id}/ask": 303,
    "POST /threads/{thread_id}/answer": 404,  # no run waits
    "POST /mailboxes/{mailbox_id}/interrupt": 303,
}


@pytest.mark.parametrize(
    "operation",
    [each for each in PAGES if not each.is_safe and not each.owner.is_public],
    ids=name_of,
)
async def test_who_may_only_chat_does_nothing_else(
    store: Store, see: See, operation: Operation
) -> None:
    await store.mailboxes.send("t", "work", entry_id="e")
    browser = await see(treadle.http.chat_user("alice"))
    ids = {"thread_id": "t", "mailbox_id": "t", "entry_id": "e", "run_id": "e", "collection": "c"}
    path = re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], operation.path)
    before = await read_everything(store, ["t"])
    answer = await browser.post(path, data=FORMS.get(name_of(operation), {}))
    if name_of(operation) in MAY:
        assert answer.status_code == MAY[name_of(operation)]
    else:
        assert answer.status_code == 403
        assert await read_everything(store, ["t"]) == before
