"""A browser that runs no scripts: links and forms do everything."""

from playwright.async_api import expect

from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from treadle import Store


async def test_a_conversation_is_found_by_filters_links_and_its_id(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    url = await serve(example)
    page = await browsing.open(f"{url}/threads", java_script_enabled=False)
    assert await page.get_by_role("button", name="Live").count() == 0, "it would do nothing"
    await page.get_by_label("Id begins with").fill("train-")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("tr[data-row]")).to_have_count(3)
    await page.get_by_role("link", name="Clear", exact=True).click()
    await expect(page).to_have_url(f"{url}/threads")
    await page.get_by_role("searchbox").fill("train-night-sleeper")
    await page.get_by_role("button", name="Search").click()
    await expect(page).to_have_url(f"{url}/threads/train-night-sleeper")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Nachtzug")
    await page.locator(".tool summary").first.click()
    await expect(page.get_by_role("heading", name="Arguments").first).to_be_visible()
