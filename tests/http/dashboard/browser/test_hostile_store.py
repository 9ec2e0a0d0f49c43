"""A browser looks at a store that wants to harm its reader: nothing runs, and nothing is hidden."""

from pathlib import Path

from playwright.async_api import expect

import treadle
from tests.http.clients_in_process import client
from tests.http.dashboard import hostile_store
from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from tests.http.dashboard.crawling import crawl, kind_of
from treadle.http import admin, dashboard, everyone

ALONE = (
    "() => document.querySelectorAll('script:not([src^=\"/static/\"]), [onload], [onerror]').length"
)


async def test_no_page_of_a_hostile_store_does_anything(
    browsing: Browsing, serve: Serve, tmp_path: Path
) -> None:
    async with treadle.open_store(await hostile_store.written(tmp_path / "h.db")) as store:
        async with client(dashboard(store, authenticate=everyone(admin("ada")))) as links:
            answers = await crawl(links, most=3)
        paths: dict[str, str] = {}
        for path, answer in answers.items():
            is_page = answer.headers["content-type"].startswith("text/html")
            if is_page and answer.status_code == 200:
                kind = kind_of(path)
                paths[kind] = max(path, paths.get(kind, path), key=lambda each: "%3Cimg" in each)
        url = await serve(store)
        page = await browsing.open(url)
        for path in paths.values():
            await page.goto(url + path)
            assert await page.evaluate(ALONE) == 0, path
            await expect(page.get_by_role("banner")).to_be_visible()  # no style hides it
        await browsing.close()
    assert {"threads/*", "entries/*", "mailboxes/*", "runs/*", "documents/*/document"} <= set(paths)
