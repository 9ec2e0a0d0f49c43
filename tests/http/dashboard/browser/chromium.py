"""Chromium: the system's, or the one that Playwright has installed."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


class NoBrowser(Exception):
    """There is no browser on this machine."""


@asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """Run a browser without a window during the block.

    Raises:
        NoBrowser: there is none.
    """
    async with async_playwright() as playwright:
        path = _find(Path(playwright.chromium.executable_path))
        browser = await playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            await browser.close()


def _find(bundled: Path) -> Path | str:
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    if installed is not None:
        return installed
    if not bundled.exists():
        raise NoBrowser(
            "there is no Chromium: apt-get install chromium, or playwright install chromium"
        )
    return bundled
