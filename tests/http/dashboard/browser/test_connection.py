"""A page whose server is away, or no longer knows who looks, says so."""

import pytest
from playwright.async_api import expect

from tests.http.dashboard.browser.browsing import Browsing, set_hidden
from tests.http.dashboard.browser.conftest import Serve
from treadle import Message, Store, Thread
from treadle.http import operator

TOKEN = "token-of-olga-0123456789"


async def test_a_list_says_that_it_has_no_connection_until_it_has_one_again(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    page = await browsing.open(f"{await serve(store)}/threads")
    switch = page.locator("#live-switch")
    await expect(switch).to_have_text("Live")
    browsing.expect("ERR_INTERNET_DISCONNECTED")
    browsing.expect("Failed to fetch")
    await page.context.set_offline(True)
    await expect(switch).to_have_text("No connection", timeout=30_000)
    await store.threads.create(Thread(id="meanwhile"))
    await page.context.set_offline(False)
    await expect(switch).to_have_text("Live", timeout=30_000)
    await expect(page.get_by_role("table")).to_contain_text("meanwhile")


@pytest.mark.parametrize("begins", ["before", "after"])
async def test_a_page_that_somebody_has_logged_out_of_leads_to_the_login(
    begins: str, browsing: Browsing, serve: Serve, store: Store
) -> None:
    """Its stream begins before the logout, or is refused after it."""
    await store.threads.create(Thread(id="chat"))
    url = await serve(store, tokens={TOKEN: operator("olga")})
    page = await browsing.open(f"{url}/threads/chat")
    await page.get_by_label("Token").fill(TOKEN)
    async with page.expect_response("**/stream"):
        await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("chat")
    await set_hidden(page, begins == "after")
    await page.context.clear_cookies()
    browsing.expect("401")
    await set_hidden(page, False)
    await store.threads.append("chat", Message.user("Is anybody there?"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await page.get_by_label("Token").fill(TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator(".role-user")).to_contain_text("Is anybody there?")
