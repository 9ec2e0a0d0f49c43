"""Pictures of the dashboard for the documents: `make screenshots` writes them."""

import asyncio
import base64
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, ViewportSize

import treadle.http
from tests.http.dashboard.browser.chromium import launched
from tests.http.dashboard.browser.example import opened_example, pages
from tests.http.dashboard.browser.serving import served
from tests.http.dashboard.example_store import scripts
from treadle import Store

PICTURES = Path(__file__).parents[4] / "docs" / "images" / "dashboard"
SIZE = ViewportSize(width=1200, height=720)
QUALITY = 60
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def take(page: Page) -> bytes:
    """Return a picture of what is seen of a page."""
    session = await page.context.new_cdp_session(page)
    options = {"format": "webp", "quality": QUALITY}
    answer = await session.send("Page.captureScreenshot", options)
    return base64.b64decode(answer["data"])


async def write_pictures(browser: Browser, store: Store, folder: Path) -> None:
    """Write a picture of each page in each theme."""
    authenticate = treadle.http.everyone(treadle.http.operator("olga"))
    async with served(treadle.http.dashboard(store, authenticate=authenticate)) as url:
        for theme in THEMES:
            context = await browser.new_context(color_scheme=theme, viewport=SIZE)
            page = await context.new_page()
            for name, path in (await pages(store)).items():
                answer = await page.goto(f"{url}/{path}")
                assert answer is not None
                assert answer.ok, (name, answer.status)
                (folder / f"{name}-{theme}.webp").write_bytes(await take(page))
            await context.close()


async def run() -> None:
    """Write all pictures."""
    async with launched() as browser, opened_example(scripts()) as store:
        await write_pictures(browser, store, PICTURES)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    asyncio.run(run())
    sizes = [path.stat().st_size for path in PICTURES.glob("*.webp")]
    print(f"{len(sizes)} pictures with {sum(sizes):,} bytes in {PICTURES}")
