"""A question of an agent is found, answered, and its turn goes on."""

from playwright.async_api import expect

from tests.http.agent import handle
from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from treadle import Message, RunMeta, Store, Thread, ThreadChangeSet
from treadle.core.codec import to_plain
from treadle.http import operator
from treadle.worker import Delivery, RunRequest, Worker


async def refund(delivery: Delivery) -> None:
    """Ask, and go on with the answer, as docs/how-to/wait-for-a-human.md does it."""
    turn, thread_id = delivery.entry.entry_id, delivery.entry.mailbox_id
    meta = RunMeta(agent_id="refunds", status="waiting", source_mailbox_entry_id=turn)
    head = await delivery.thread()
    assert head is not None
    answers = {each.id: each.content for each in head.thread.messages}
    if f"{turn}-answer" not in answers:
        question = Message.assistant("May I refund 40 EUR?", id=turn)
        async with delivery.pause(reason="May I refund 40 EUR?") as step:
            changes = ThreadChangeSet(run_id=turn, run_meta=meta, messages=[question])
            step.threads.append(thread_id, changes)
        return
    said = "Refunded." if answers[f"{turn}-answer"] == "yes" else "I have not."
    ended = RunMeta(agent_id="refunds", status="done", source_mailbox_entry_id=turn)
    async with delivery.batch() as step:
        changes = ThreadChangeSet(run_id=turn, run_meta=ended, messages=[Message.assistant(said)])
        step.threads.append(thread_id, changes)


async def test_a_paused_turn_is_approved(browsing: Browsing, serve: Serve, store: Store) -> None:
    await store.threads.create(Thread(id="order 17"))
    await store.mailboxes.send("order 17", {"refund": 40})
    await Worker(store, refund).run(until_idle=True)
    page = await browsing.open(await serve(store, operator("olga")))
    await page.get_by_role("region", name="Waiting for a human").get_by_text("order 17").click()
    question = page.get_by_role("region", name="refunds waits for an answer")
    await expect(question).to_contain_text("May I refund 40 EUR?")
    await question.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("status")).to_have_text("The answer was given.")
    await Worker(store, refund).run(until_idle=True)
    await expect(page.locator(".role-assistant").last).to_contain_text("Refunded.")
    await expect(question).to_have_count(0)


async def test_a_run_of_a_client_is_declined_in_words(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    request = RunRequest(agent_id="helper", thread_id="chat", run_id="run-1")
    await store.threads.create(Thread(id="chat", messages=(Message.user("refund"),)))
    await store.mailboxes.send("chat", to_plain(request))
    await Worker(store, handle).run(until_idle=True)
    page = await browsing.open(f"{await serve(store)}/threads/chat", java_script_enabled=False)
    question = page.get_by_role("region", name="helper waits for an answer")
    await question.get_by_label("In words").fill("not without a receipt")
    await question.get_by_role("button", name="Decline").click()
    await expect(page.get_by_role("status")).to_have_text("The answer was given.")
    await Worker(store, handle).run(until_idle=True)
    await page.reload()
    await expect(page.locator(".role-assistant").last).to_contain_text("I have not.")
