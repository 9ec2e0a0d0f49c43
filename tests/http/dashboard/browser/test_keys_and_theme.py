"""Keys, the theme, and the switch that pauses news."""

import re

from playwright.async_api import expect

from tests.http.dashboard.browser.browsing import Browsing, until_keys_work
from tests.http.dashboard.browser.conftest import Serve
from treadle import Message, Store, Thread


async def test_the_keyboard_leads_everywhere(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    url = await serve(example)
    page = await browsing.open(url)
    for keys, path in (("gt", "/threads"), ("go", "/")):
        await page.keyboard.type(keys)
        await expect(page).to_have_url(url + path)
        await until_keys_work(page)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.type("/lost-cello-bow")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{url}/threads/lost-cello-bow")
    await page.goto(f"{url}/threads")
    second = await page.locator("tr[data-row] a.name").nth(1).get_attribute("href")
    await page.keyboard.type("jjjk")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{url}{second}")


async def test_the_theme_is_that_of_the_system_until_it_is_chosen(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    url = await serve(store)
    page = await browsing.open(url, color_scheme="dark")
    body = page.locator("body")
    dark = re.compile(r"rgb\((\d|[1-4]\d), ")
    await expect(body).to_have_css("background-color", dark)
    await page.keyboard.press("t")
    await expect(body).not_to_have_css("background-color", dark)
    await page.reload()
    await expect(body).not_to_have_css("background-color", dark)
    await page.get_by_role("button", name="Dark").click()
    await expect(body).to_have_css("background-color", dark)


async def test_news_come_until_they_are_paused(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    page = await browsing.open("about:blank")
    await page.clock.install()
    await page.goto(f"{await serve(store)}/threads")
    await store.threads.create(Thread(id="first", messages=(Message.user("hi"),)))
    await page.clock.run_for(6_000)
    await expect(page.get_by_role("link", name="first")).to_be_visible()
    await page.keyboard.press("r")
    await store.threads.create(Thread(id="second"))
    await page.clock.run_for(20_000)
    await expect(page.get_by_role("button", name="Paused")).to_be_visible()
    await expect(page.get_by_role("link", name="second")).to_have_count(0)
    await page.keyboard.press("r")
    await page.clock.run_for(6_000)
    await expect(page.get_by_role("link", name="second")).to_be_visible()
