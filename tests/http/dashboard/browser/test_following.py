"""A conversation that is followed while a worker writes it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from playwright.async_api import expect

from tests.http.dashboard.browser.browsing import Browsing, set_hidden
from tests.http.dashboard.browser.conftest import Serve
from treadle import Message, RunMeta, Store, Thread, ThreadChangeSet, ToolCall
from treadle.worker import Delivery, Worker

HIDDEN = "\u202egnp.exe"


class Writer:
    """An agent that answers in two pieces, and waits before each and before it commits."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)

    async def __call__(self, delivery: Delivery) -> None:
        """Work an entry."""
        thread_id, question = delivery.entry.mailbox_id, delivery.entry.payload["text"]
        async with delivery.batch(settle=False) as step:
            step.threads.append(thread_id, ThreadChangeSet(messages=[Message.user(question)]))
        answer = delivery.store.live.message(thread_id, f"answer-{delivery.entry.entry_id}")
        await self.gate.acquire()
        await answer.text(f"<b>Half of {HIDDEN}")
        await self.gate.acquire()
        await answer.text(" an answer</b>")
        await self.gate.acquire()
        said = Message.assistant(f"<b>Half of {HIDDEN} an answer</b>", id=answer.id)
        async with delivery.batch() as step:
            step.threads.append(thread_id, ThreadChangeSet(messages=[said]))


@asynccontextmanager
async def working(store: Store, handler: Writer) -> AsyncGenerator[None]:
    worker = Worker(store, handler)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task


async def test_two_windows_show_an_answer_while_it_is_written(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    await store.threads.create(Thread(id="chat"))
    url = f"{await serve(store)}/threads/chat"
    writer = Writer()
    windows = [await browsing.open(url), await browsing.open(url)]
    async with working(store, writer):
        phone = await browsing.open(url, viewport={"width": 360, "height": 740})
        await phone.get_by_role("textbox", name="Message").fill("What is up?")
        await phone.get_by_role("button", name="Send to the agent").click()
        for window in windows:
            await expect(window.locator(".role-user")).to_contain_text("What is up?")
        writer.gate.release()
        for window in windows:
            await expect(window.locator("#writing")).to_contain_text(r"<b>Half of \u202egnp.exe")
        writer.gate.release()
        for window in windows:
            await expect(window.locator("#writing")).to_contain_text(" an answer</b>")
            await expect(window.locator(".role-assistant")).to_have_count(0)
        writer.gate.release()
        for window in windows:
            await expect(window.locator(".role-assistant")).to_contain_text("an answer</b>")
            await expect(window.locator("#writing")).to_be_empty()
    shown = await windows[1].locator(".messages").first.inner_text()
    assert HIDDEN not in shown


async def test_of_seven_tabs_only_the_one_that_is_seen_has_a_stream(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    await store.threads.create(Thread(id="chat"))
    url = f"{await serve(store)}/threads/chat"
    first = page = await browsing.open(url)
    for _ in range(6):
        await set_hidden(page, True)
        page = await browsing.open_beside(page, url)
    await store.threads.append("chat", Message.user("Is anybody there?"))
    await expect(page.locator(".role-user")).to_contain_text("Is anybody there?")
    await expect(first.locator(".role-user")).to_have_count(0)
    await set_hidden(page, True)
    await set_hidden(first, False)
    await expect(first.locator(".role-user")).to_contain_text("Is anybody there?")


async def test_news_leave_alone_what_a_reader_has_opened_or_typed(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    call = ToolCall(id="c", name="weather", arguments={"city": "Ulm"})
    said = [Message.assistant("", [call]), Message.tool("c", "sunny")]
    await store.threads.create(Thread(id="chat"))
    meta = RunMeta(agent_id="helper", status="waiting", metadata={"interrupts": [{"id": "i"}]})
    changes = ThreadChangeSet(run_id="r", run_meta=meta, messages=said)
    await store.threads.append("chat", changes)
    page = await browsing.open(f"{await serve(store)}/threads/chat")
    await page.get_by_text("weather").click()
    await page.get_by_role("textbox", name="Message").fill("half a question")
    await store.threads.append("chat", Message.user("Is anybody there?"))
    await expect(page.locator(".role-user")).to_contain_text("Is anybody there?")
    await expect(page.get_by_text("sunny")).to_be_visible()
    await expect(page.get_by_role("textbox", name="Message")).to_have_value("half a question")
    await page.get_by_label("In words").fill("only if")
    await page.get_by_role("heading", level=1).click()
    await store.threads.append("chat", Message.user("And now?"))
    await page.wait_for_timeout(1_000)
    await expect(page.get_by_label("In words")).to_have_value("only if")
    await expect(page.locator(".role-user")).to_have_count(1)
    await page.get_by_label("In words").fill("")
    await page.get_by_role("heading", level=1).click()
    await expect(page.locator(".role-user")).to_have_count(2)
