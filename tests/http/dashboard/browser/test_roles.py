"""Users who log in with a token see what is theirs, and the buttons that they may use."""

from playwright.async_api import Page, expect

from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from tests.http.dashboard.browser.example import pages
from treadle import Store
from treadle.http import admin, operator, user, viewer

TOKENS = {
    "token-of-the-viewer": viewer("vera"),
    "token-of-the-operator": operator("olga"),
    "token-of-the-owner": user("anna"),
    "token-of-the-admin": admin("ada"),
}


async def log_in(page: Page, token: str) -> None:
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()


async def count_buttons(page: Page) -> int:
    """Count what changes the store: forms that are sent, except the one that logs out."""
    return await page.locator("form[method=post]:not([action$='/logout'])").count()


async def test_a_token_leads_to_the_page_that_was_wanted_and_logging_out_ends_it(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    url = await serve(example, tokens=TOKENS)
    page = await browsing.open(f"{url}/threads?resource_id=ben")
    browsing.expect("401")
    await log_in(page, "another-token-than-these")
    await expect(page.get_by_role("alert")).to_contain_text("does not know this token")
    await log_in(page, "token-of-the-viewer")
    await expect(page).to_have_url(f"{url}/threads?resource_id=ben")
    await expect(page.locator(".who")).to_have_text("vera")
    [cookie] = [each for each in await page.context.cookies() if "token" in each["name"]]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Lax", -1)
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("Token")).to_be_visible()
    await page.goto(f"{url}/threads")
    await expect(page.get_by_label("Token")).to_be_visible()


async def test_a_viewer_sees_no_button_and_an_operator_does(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    paths = await pages(example)
    for principal in (viewer("vera"), operator("olga")):
        url = await serve(example, principal)
        page = await browsing.open(url)
        for name in ("thread-waiting", "entry-dead"):
            await page.goto(f"{url}/{paths[name]}")
            assert (await count_buttons(page) > 0) == (principal.id == "olga"), name


async def test_an_owner_sees_only_what_is_theirs(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    url = await serve(example, user("anna"))
    page = await browsing.open(f"{url}/threads")
    theirs = {head.id for head in (await example.threads.list_summaries(resource_id="anna")).items}
    shown = await page.locator("tr[data-row] .under").all_inner_texts()
    assert set(shown) == theirs
    browsing.expect("404")
    await page.goto(f"{url}/threads/bike-commuter-wheel")
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
