"""Below a path of another application, as behind a proxy that has a prefix."""

from playwright.async_api import expect

from tests.http.dashboard.browser.browsing import Browsing, until_keys_work
from tests.http.dashboard.browser.conftest import Serve
from tests.http.dashboard.browser.test_roles import TOKENS, log_in
from treadle import Store


async def test_login_links_keys_and_cookies_stay_below_the_path(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    url = await serve(example, tokens=TOKENS, below="/staff/the agents")
    page = await browsing.open(f"{url}/threads/lost-cello-bow")
    below = url.replace(" ", "%20")
    await expect(page).to_have_url(f"{below}/login?next=%2Fthreads%2Flost-cello-bow")
    await log_in(page, "token-of-the-operator")
    await expect(page).to_have_url(f"{below}/threads/lost-cello-bow")
    await until_keys_work(page)
    await page.keyboard.press("t")
    cookies = await page.context.cookies()
    assert {each["path"].rstrip("/") for each in cookies} == {"/staff/the%20agents"}
    assert len(cookies) == 2
    await page.keyboard.type("gt")
    await expect(page).to_have_url(f"{below}/threads")
    await until_keys_work(page)
    await page.keyboard.type("/train-night-sleeper\n")
    await expect(page).to_have_url(f"{below}/threads/train-night-sleeper")
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{below}/login")
    assert [each["name"] for each in await page.context.cookies()] == ["treadle-theme"]
