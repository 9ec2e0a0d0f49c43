"""What one can do on the page of a thread."""

import re
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from tests.http.dashboard.conftest import See
from treadle import Message, RunMeta, RunStatus, Thread, ThreadChangeSet
from treadle import http as treadle_http
from treadle.patches import Set, track
from treadle.store.store import Store
from treadle.worker import RunRequest


@pytest.fixture(autouse=True)
async def thread(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    messages = [Message.user(f"text {number}") for number in range(6)]
    await store.threads.append("t", ThreadChangeSet(messages=messages))


async def texts(store: Store, thread_id: str = "t") -> list[Any]:
    page = await store.threads.list_messages(thread_id)
    return [each.message.content for each in page.messages]


async def act(browser: httpx.AsyncClient, action: str, **form: Any) -> str:
    """Send a form, follow its answer, and return what the next page says was done."""
    answer = await browser.post(f"/threads/t/{action}", data=form)
    assert answer.status_code == 303, answer.text
    page = await browser.get(answer.headers["location"])
    said = re.search(r'<p class="said" role="status">(.*?)</p>', page.text)
    assert said is not None
    again = await browser.get(answer.headers["location"])
    assert 'class="said"' not in again.text
    return said[1]


async def test_the_title_is_changed_and_removed(store: Store, admin: httpx.AsyncClient) -> None:
    assert await act(admin, "title", title="Über <b>") == "The title was changed."
    head = await store.threads.summary("t")
    assert head is not None
    assert head.metadata.extra["title"] == "Über <b>"
    assert "Über &lt;b&gt;</h1>" in (await admin.get("/threads/t")).text
    assert await act(admin, "title", title="") == "The title was removed."


async def test_a_message_is_added_once_however_often_the_form_is_sent(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for _ in range(2):
        assert await act(admin, "messages", text="one\r\ntwo", key="k") == "The message was added."
    assert (await texts(store))[6:] == ["one\ntwo"]
    assert (await admin.post("/threads/t/messages", data={"text": ""})).status_code == 400


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ("hello", {"text": "hello"}),
        ("[1]", {"text": "[1]"}),
        ('{"n": 9223372036854775807}', {"n": 2**63 - 1}),
        ('{"broken"', {"text": '{"broken"'}),
    ],
)
async def test_work_is_sent_once_however_often_the_form_is_sent(
    text: str, payload: Any, store: Store, admin: httpx.AsyncClient
) -> None:
    assert (await act(admin, "send", text=text, key="k")).startswith("It was sent:")
    assert await act(admin, "send", text=text, key="k") == "It was sent already."
    [entry] = (await store.mailboxes.list_entries(mailbox_id="t")).items
    assert (entry.payload, entry.sender_id) == (payload, "ops")


async def test_a_json_that_no_store_keeps_is_refused(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await admin.post("/threads/t/send", data={"text": '{"n": 1e999}'})
    [entry] = (await store.mailboxes.list_entries()).items
    assert entry.payload == {"text": '{"n": 1e999}'}  # it is no JSON that can be read
    refused = await admin.post("/threads/t/send", data={"text": '{"n": 99999999999999999999}'})
    assert refused.status_code == 400


async def test_its_mailbox_is_paused_resumed_and_interrupted_from_the_thread(
    store: Store, admin: httpx.AsyncClient
) -> None:
    async def act(action: str, **form: str) -> httpx.Response:
        answer = await admin.post(f"/mailboxes/t/{action}", data={"page": "threads", **form})
        assert answer.headers["location"] == "/threads/t"
        return await admin.get("/threads/t")

    await store.mailboxes.send("t", 1)
    page = await admin.get("/threads/t")
    assert 'action="/mailboxes/t/pause"' in page.text
    assert '<input type="hidden" name="page" value="threads">' in page.text
    paused = await act("pause", reason="lunch")
    assert "lunch" in paused.text
    assert 'action="/mailboxes/t/resume"' in paused.text
    assert not await store.mailboxes.claim(consumer="w")
    resumed = await act("resume")
    assert 'href="/mailboxes/t/interrupt?page=threads"' in resumed.text
    assert await store.mailboxes.claim(consumer="w")
    question = await admin.get("/mailboxes/t/interrupt?page=threads")
    assert 'href="/threads/t">Back' in question.text
    assert '<input type="hidden" name="page" value="threads">' in question.text
    assert (
        "The mailbox was interrupted: 1 entry superseded."
        in (await act("interrupt", generation="0")).text
    )


async def test_a_truncation_shows_first_what_it_removes(
    store: Store, admin: httpx.AsyncClient
) -> None:
    assert 'href="/threads/t/truncate?at=4"' in (await admin.get("/threads/t")).text
    preview = (await admin.get("/threads/t/truncate?at=4")).text
    assert "Remove 2 messages?" in preview
    assert "text 4" in preview
    assert "text 3" not in preview
    assert "Nothing would be removed" in (await admin.get("/threads/t/truncate?at=6")).text
    await store.threads.append("t", Message.user("meanwhile"))
    late = await admin.post("/threads/t/truncate", data={"at": 4, "expected": 1})
    assert late.status_code == 409
    assert "changed meanwhile" in late.text
    assert await act(admin, "truncate", at=4, expected=2) == "3 messages were removed."
    assert await texts(store) == ["text 0", "text 1", "text 2", "text 3"]


async def test_a_fork_shows_first_what_it_copies(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    preview = (await admin.get("/threads/t/fork?at=2")).text
    assert "the first 2 messages" in preview
    assert "4 messages are left out" in preview
    assert await act(admin, "fork", at=2, expected=1, new="copy") == "This is the new thread."
    assert await texts(store, "copy") == ["text 0", "text 1"]
    taken = await admin.post("/threads/t/fork", data={"at": 2, "expected": 1, "new": "copy"})
    assert taken.status_code == 409
    await store.mailboxes.send("billing", 1)
    foreign = await alice.post("/threads/t/fork", data={"at": 2, "expected": 1, "new": "billing"})
    assert foreign.status_code == 409
    made = await alice.post("/threads/t/fork", data={"at": 2, "expected": 1})
    head = await store.threads.summary(made.headers["location"].rpartition("/")[2])
    assert head is not None
    assert head.resource_id == "alice"


async def test_a_form_that_is_sent_twice_forks_once(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    for browser in (admin, alice):
        page = (await browser.get("/threads/t/fork?at=2")).text
        made = page.partition('name="made" value="')[2].partition('"')[0]
        form = {"at": "2", "expected": "1", "made": made}
        before = len((await store.threads.list_summaries()).items)
        answers = [await browser.post("/threads/t/fork", data=form) for _ in range(2)]
        assert [each.headers["location"] for each in answers] == [f"/threads/{made}"] * 2
        assert len((await store.threads.list_summaries()).items) == before + 1


async def test_a_fork_inside_a_turn_asks_for_the_state(
    store: Store, admin: httpx.AsyncClient
) -> None:
    messages = [Message.user("one"), Message.assistant("two")]
    patch = track(Set(path=("mood",), value="calm"), source="test")
    await store.threads.append("t", ThreadChangeSet(messages=messages, patches=[patch]))
    assert "as it was after these messages" in (await admin.get("/threads/t/fork?at=7")).text
    form = {"at": 7, "expected": 2, "new": "copy"}
    refused = await admin.post("/threads/t/fork", data=form)
    assert refused.status_code == 400
    assert "the state after these 7 messages is not known" in refused.text
    assert 'value="copy"' in refused.text
    assert '<option value="now" selected>' in refused.text
    assert await store.threads.summary("copy") is None
    assert await act(admin, "fork", **form, state="now") == "This is the new thread."
    copy = await store.threads.load("copy")
    assert copy is not None
    assert len(copy.thread.messages) == 7
    assert copy.thread.rebuild_state() == {"mood": "calm"}


async def test_a_thread_is_deleted_by_who_types_its_id(
    store: Store, admin: httpx.AsyncClient
) -> None:
    assert "6 messages" in (await admin.get("/threads/t/delete")).text
    for typed in ("", "T", "other"):
        refused = await admin.post("/threads/t/delete", data={"confirmation": typed})
        assert refused.status_code == 400
    assert await act(admin, "delete", confirmation="t") == "The thread was deleted."
    assert await store.threads.summary("t") is None


async def ask(
    store: Store, interrupts: Sequence[Any] = (), status: RunStatus = "waiting", **fields: Any
) -> None:
    """Let a run wait for an answer."""
    metadata = {"interrupts": [*interrupts]}
    meta = RunMeta(agent_id="refunds", status=status, metadata=metadata, **fields)
    await store.threads.append("t", ThreadChangeSet(run_id="turn", run_meta=meta))


async def test_a_paused_turn_gets_its_answer_and_goes_on(
    store: Store, alice: httpx.AsyncClient
) -> None:
    await store.mailboxes.send("t", {"refund": 40})
    await ask(store)
    await store.mailboxes.pause("t", reason="May I refund 40 EUR?")
    page = (await alice.get("/threads/t")).text
    assert "refunds waits for an answer" in page
    assert "May I refund 40 EUR?" in page
    assert await act(alice, "answer", run_id="turn", decision="yes") == "The answer was given."
    state = await store.mailboxes.load("t")
    assert state is not None
    assert state.paused_at is None
    last = (await store.threads.list_messages("t", order="desc", limit=1)).messages[0].message
    assert (last.id, last.role, last.content) == ("turn-answer", "user", "yes")
    await store.mailboxes.pause("t")
    again = await act(alice, "answer", run_id="turn", decision="no")
    assert again == "Somebody has answered it already."
    assert (await texts(store))[6:] == ["yes"]


async def paused(store: Store, payload: Any, run_id: str = "turn") -> None:
    """Let a run ask, and pause its mailbox."""
    sent = await store.mailboxes.send("t", payload, entry_id=run_id)
    interrupts = [{"id": "i", "message": "May I refund 40 EUR?"}]
    await ask(store, interrupts, source_mailbox_entry_id=sent.entry.entry_id)
    await store.mailboxes.pause("t")


async def test_who_may_only_chat_approves(store: Store, see: See) -> None:
    browser = await see(treadle_http.chat_user("alice"))
    await paused(store, {"refund": 40})
    assert ">Approve</button>" in (await browser.get("/threads/t")).text
    assert await act(browser, "answer", run_id="turn", decision="yes") == "The answer was given."
    state = await store.mailboxes.load("t")
    assert state is not None
    assert state.paused_at is None
    looking = await see(treadle_http.viewer("v"))
    assert ">Approve</button>" not in (await looking.get("/threads/t")).text
    form = {"run_id": "turn", "decision": "yes"}
    assert (await looking.post("/threads/t/answer", data=form)).status_code == 403


async def test_a_question_that_was_answered_is_not_asked_again(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await paused(store, {"refund": 40})
    assert "May I refund 40 EUR?" in (await admin.get("/")).text
    assert await act(admin, "answer", run_id="turn", decision="yes") == "The answer was given."
    run = await store.runs.load("turn")
    assert run is not None
    assert run.status == "running"
    page = (await admin.get("/threads/t")).text
    assert "May I refund 40 EUR?" not in page
    assert ">Approve</button>" not in page
    assert "No run waits for an answer." in (await admin.get("/")).text
    again = await act(admin, "answer", run_id="turn", decision="no")
    assert again == "Somebody has answered it already."
    assert len((await store.mailboxes.list_entries(mailbox_id="t")).items) == 1
    assert (await texts(store))[6:] == ["yes"]


async def test_a_question_whose_pause_is_over_needs_no_answer(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await paused(store, {"refund": 40})
    await store.mailboxes.resume("t")
    page = (await admin.get("/threads/t")).text
    assert "nobody needs to answer it now" in page
    assert ">Approve</button>" not in page
    assert "No run waits for an answer." in (await admin.get("/")).text
    late = await act(admin, "answer", run_id="turn", decision="no")
    assert late == "Somebody has answered it already."
    await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    assert ">Approve</button>" not in (await admin.get("/threads/t")).text


async def test_a_paused_run_that_was_asked_for_can_take_its_answer(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await paused(store, RunRequest(agent_id="refunds", thread_id="t", run_id="turn"))
    assert await act(admin, "answer", run_id="turn", decision="yes") == "The answer was given."
    [_, entry] = (await store.mailboxes.list_entries(mailbox_id="t")).items
    wanted = RunRequest.of(entry)
    [answer] = wanted.resume
    assert (answer.interrupt_id, answer.run_id, answer.payload) == ("i", "turn", {"approved": True})
    assert wanted.message_ids
    assert (await texts(store))[6:] == ["yes"]
    state = await store.mailboxes.load("t")
    assert state is not None
    assert state.paused_at is None


async def test_an_answer_leaves_the_pause_of_another_run(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await ask(store, [{"id": "i"}])
    await ask_by_entry(store, "ended")
    await store.mailboxes.pause("t", reason="lunch")
    assert await act(admin, "answer", run_id="ended", decision="yes") == "The answer was given."
    state = await store.mailboxes.load("t")
    assert state is not None
    assert state.paused_at is not None


async def ask_by_entry(store: Store, run_id: str) -> None:
    """Let a run wait whose entry has been purged."""
    meta = RunMeta(
        agent_id="refunds",
        status="waiting",
        metadata={"interrupts": [{"id": f"of-{run_id}"}]},
        source_mailbox_entry_id="purged",
    )
    await store.threads.append("t", ThreadChangeSet(run_id=run_id, run_meta=meta))


async def test_a_question_behind_answered_ones_is_on_the_overview(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for number in range(30):
        sent = await store.mailboxes.send("t", number)
        meta = RunMeta(status="waiting", source_mailbox_entry_id=sent.entry.entry_id)
        await store.threads.append("t", ThreadChangeSet(run_id=f"old-{number}", run_meta=meta))
    page = (await admin.get("/")).text
    assert "No run waits for an answer." not in page
    assert 'href="/runs?status=waiting"' in page


async def test_a_run_that_waits_for_other_work_is_no_question(
    store: Store, admin: httpx.AsyncClient
) -> None:
    meta = RunMeta(agent_id="planner", status="waiting", metadata={"asks": False})
    await store.threads.append("t", ThreadChangeSet(run_id="turn", run_meta=meta))
    assert "No run waits for an answer." in (await admin.get("/")).text
    page = (await admin.get("/threads/t")).text
    assert "planner waits for other work, and asks nothing" in page
    assert "waits for an answer" not in page
    form = {"run_id": "turn", "decision": "yes"}
    assert (await admin.post("/threads/t/answer", data=form)).status_code == 409


async def test_a_run_that_ended_with_a_question_gets_a_run_with_the_answer(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await ask(store, [{"id": "i-1", "message": "May I?"}, {"id": "i-2"}, "broken", {"no": "id"}])
    assert "May I?" in (await admin.get("/threads/t")).text
    said = await act(admin, "answer", run_id="turn", decision="no", text="too much")
    assert said == "The answer was given."
    [entry] = (await store.mailboxes.list_entries(mailbox_id="t")).items
    wanted = RunRequest.of(entry)
    assert (wanted.agent_id, wanted.parent_run_id, wanted.resource_id) == (
        "refunds",
        "turn",
        "alice",
    )
    payload = {"approved": False, "reason": "too much"}
    given = [(each.interrupt_id, each.payload) for each in wanted.resume]
    assert given == [("i-1", payload), ("i-2", payload)]
    assert (await admin.get("/threads/t")).text.count("waits for an answer") == 0


async def test_a_question_that_only_its_agent_understands_has_no_button(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await ask(store)
    page = (await admin.get("/threads/t")).text
    assert "refunds waits for an answer" in page
    assert ">Approve</button>" not in page
    form = {"run_id": "turn", "decision": "yes"}
    assert (await admin.post("/threads/t/answer", data=form)).status_code == 409


async def test_only_a_run_of_the_thread_that_waits_can_be_answered(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="other"))
    meta = RunMeta(agent_id="a", status="waiting")
    await store.threads.append("other", ThreadChangeSet(run_id="of-other", run_meta=meta))
    await ask(store, status="done")
    for run_id in ("of-other", "turn", "nothing"):
        form = {"run_id": run_id, "decision": "yes"}
        assert (await admin.post("/threads/t/answer", data=form)).status_code == 404


@pytest.mark.parametrize("is_paused", [True, False])
async def test_an_answer_needs_the_right_to_chat(is_paused: bool, store: Store, see: See) -> None:
    await ask(store, [{"id": "i"}])
    if is_paused:
        await store.mailboxes.pause("t")
    others = treadle_http.Principal(
        id="most",
        owner=treadle_http.ALL_OWNERS,
        can=treadle_http.admin("ops").can - {"chat"},
    )
    browser = await see(others)
    assert ">Approve</button>" not in (await browser.get("/threads/t")).text
    refused = await browser.post("/threads/t/answer", data={"run_id": "turn", "decision": "yes"})
    assert refused.status_code == 403
    assert len(await texts(store)) == 6


async def test_who_may_only_look_has_no_buttons(
    store: Store, see: See, admin: httpx.AsyncClient
) -> None:
    await ask(store, [{"id": "i"}])
    watching = await see(treadle_http.viewer("v"))
    reading = await see(treadle_http.admin("ops"), read_only=True)
    for browser in (watching, reading):
        page = (await browser.get("/threads/t")).text
        assert 'method="post"' not in page
        assert not re.search(r"/threads/t/(fork|truncate|delete|interrupt)", page)
    assert 'method="post"' in (await admin.get("/threads/t")).text
