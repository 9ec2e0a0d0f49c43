"""The triage of 500 dead letters of three errors, by an operator."""

from playwright.async_api import Page, expect

from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from treadle import Store
from treadle.http import operator

RATE_LIMIT = "RateLimitError: 429: try again in 34 s"
ERRORS = {
    RATE_LIMIT: 300,
    "TimeoutError: the stock service did not answer": 150,
    "KeyError: 'CALENDAR_TOKEN'": 50,
}


async def fail(store: Store) -> None:
    """Let 500 entries fail for good."""
    for error, count in ERRORS.items():
        async with store.batch() as step:
            for number in range(count):
                step.mailboxes.send(f"{error[:4]}-{number}", {"text": "When do you open?"})
        while claimed := await store.mailboxes.claim(200, consumer="worker-1"):
            async with store.batch() as step:
                for entry in claimed:
                    step.mailboxes.dead_letter(entry, error=error, traceback=f"at line 7\n{error}")


async def confirm(page: Page, count: str) -> None:
    """Press the button of the page that asks, which says how many."""
    await page.get_by_role("button", name=f"Requeue {count}", exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text(count)


async def test_dead_letters_are_found_by_their_error_and_requeued(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    await fail(store)
    page = await browsing.open(await serve(store, operator("olga")))
    await page.get_by_role("link", name="Entries", exact=True).click()
    await page.get_by_role("navigation", name="Entries").get_by_role("link", name="Dead").click()
    errors = page.get_by_role("table", name="Errors of dead entries")
    for error, count in ERRORS.items():
        await expect(errors.get_by_role("row").filter(has_text=error)).to_contain_text(str(count))

    await errors.get_by_role("link", name="RateLimitError").click()
    await expect(page.get_by_label("Error contains")).to_have_value(RATE_LIMIT)
    await page.get_by_role("button", name="Requeue all that match…").click()
    await confirm(page, "300 entries")
    assert (await store.mailboxes.count_entries()).dead_letter == 200

    await page.get_by_role("link", name="Clear", exact=True).click()
    await expect(errors.get_by_role("row")).to_have_count(3)  # a head, and two errors
    rows = page.get_by_role("table", name="Entries", exact=True).get_by_role("row")
    for number in (1, 2):
        await rows.nth(number).get_by_role("checkbox").focus()
        await page.keyboard.press("x")
    await page.get_by_role("button", name="Requeue the selected…").click()
    await confirm(page, "2 entries")
    assert (await store.mailboxes.count_entries()).dead_letter == 198


async def test_an_entry_says_why_it_does_not_run_and_is_requeued(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    first = (await store.mailboxes.send("orders", {"number": 2**63 - 1})).entry.entry_id
    second = (await store.mailboxes.send("orders", {"number": 2})).entry.entry_id
    [claimed] = await store.mailboxes.claim(1, consumer="worker-7")
    page = await browsing.open(f"{await serve(store, operator('olga'))}/entries/{second}")
    why = page.get_by_role("region", name="Why it does not run")
    await expect(why).to_contain_text("worker-7 holds its mailbox")
    await store.mailboxes.dead_letter(claimed, error="KeyError: 'x'", traceback="at line 7")
    await page.reload()
    await expect(why).to_contain_text("Nothing keeps it")

    await page.goto(page.url.replace(second, first))
    await expect(page.get_by_role("region", name="Last error")).to_contain_text("KeyError: 'x'")
    await expect(page.get_by_role("region", name="Payload")).to_contain_text(str(2**63 - 1))
    await page.get_by_role("button", name="Requeue").click()
    await expect(page.get_by_role("status")).to_be_visible()
    entry = await store.mailboxes.load_entry(first)
    assert entry is not None
    assert (entry.status, entry.attempt_count) == ("queued", 0)
