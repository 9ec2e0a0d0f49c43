"""The tests in a browser see what goes wrong in a page: otherwise they would prove nothing."""

from collections.abc import AsyncIterator

import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.http.dashboard.browser.accessibility import barriers
from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.serving import served

SOUND = "<!doctype html><html lang=en><title>T</title><main><h1>T</h1><p>Hello</p></main>"
ICON = '<link rel="icon" href="data:,">'
FAULTS = {
    "<script>1</script>": "script-src",
    '<p style="color:red">Hello</p>': "style-src",
    '<img src="http://192.0.2.1/p.png" alt="">': "request: GET http://192.0.2.1/p.png: csp",
    '<script src="missing.js"></script>': "missing.js: 404",
    '<script src="asks.js"></script>': "dialog: alert: 1",
    '<script src="writes.js"></script>': "console: log: hello",
    '<script src="raises.js"></script>': "script: broken",
}
SCRIPTS = {
    "asks.js": "alert(1)",
    "writes.js": "console.log('hello')",
    "raises.js": "throw new Error('broken')",
}
PAGES = {"sound": SOUND + ICON, "faulty": SOUND + ICON + "".join(FAULTS)}


def answer(request: Request) -> Response:
    name = request.path_params["name"]
    if name in SCRIPTS:
        return Response(SCRIPTS[name], media_type="text/javascript")
    if name not in PAGES:
        return Response("missing", status_code=404)
    policy = {"content-security-policy": "default-src 'none'; script-src 'self'; img-src data:"}
    return HTMLResponse(PAGES[name], headers=policy)


@pytest_asyncio.fixture(loop_scope="session")
async def url() -> AsyncIterator[str]:
    async with served(Starlette(routes=[Route("/{name}", answer)])) as url:
        yield url


async def test_all_that_goes_wrong_in_a_page_is_a_problem(browsing: Browsing, url: str) -> None:
    await browsing.open(f"{url}/faulty")
    await browsing.close()
    for fault in FAULTS.values():
        assert any(fault in problem for problem in browsing.problems), fault
    browsing.problems.clear()


async def test_a_sound_page_has_no_problems_and_no_barriers(browsing: Browsing, url: str) -> None:
    page = await browsing.open(f"{url}/sound")
    assert await barriers(page) == []


async def test_a_picture_without_a_description_is_a_barrier(browsing: Browsing, url: str) -> None:
    page = await browsing.open(f"{url}/sound")
    await page.evaluate("document.querySelector('p').innerHTML = '<img src=\"data:,\">'")
    assert [each.split(":")[0] for each in await barriers(page)] == ["image-alt"]


async def test_a_problem_that_was_expected_has_to_come(browsing: Browsing, url: str) -> None:
    await browsing.open(f"{url}/missing")
    browsing.expect("404")
    browsing.expect("410")
    await browsing.close()
    assert browsing.faults() == ["expected: 410"]
    browsing.problems.append("410")
