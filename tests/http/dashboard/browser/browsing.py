"""Pages in a browser, and whatever goes wrong in them."""

from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    WebError,
    expect,
)

_SHOW_OR_HIDE = """hides => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hides });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

LEFT = "net::ERR_ABORTED"
"""Why a request fails when its page is left: no fault of the page."""


class Browsing:
    """The pages of a test, and whatever goes wrong in them.

    Each page has a context of its own, as if somebody else opened it. These are problems: anything
    in the console, where violations of the content security policy are, too; scripts that raise;
    dialogs; requests that fail, and answers of 400 and above.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []
        self.problems: list[str] = []

    async def open(self, url: str, **options: Any) -> Page:
        """Open a page; the options are those of Playwright's contexts."""
        # Without motion: axe would measure the contrast of colours that are on their way.
        context = await self._browser.new_context(reduced_motion="reduce", **options)
        context.set_default_timeout(30_000)
        self._contexts.append(context)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("requestfailed", self._on_failure)
        context.on("response", self._on_response)
        context.on("dialog", self._on_dialog)
        page = await context.new_page()
        await page.goto(url)
        return page

    async def open_beside(self, page: Page, url: str) -> Page:
        """Open another page in the browser of `page`, which shares its connections."""
        other = await page.context.new_page()
        await other.goto(url)
        return other

    async def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            await context.close()

    def expect(self, text: str) -> None:
        """Say that there will be problems that have a text, which is what the test wants."""
        self._expected.append(text)

    def faults(self) -> list[str]:
        """Return the problems that were not expected, and what was expected and did not come."""
        missing = [
            f"expected: {text}"
            for text in self._expected
            if not any(text in problem for problem in self.problems)
        ]
        surprises = [
            problem
            for problem in self.problems
            if not any(text in problem for text in self._expected)
        ]
        return [*missing, *surprises]

    def _on_console(self, message: ConsoleMessage) -> None:
        self.problems.append(f"console: {message.type}: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self.problems.append(f"script: {error.error}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != LEFT:
            self.problems.append(f"request: {request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            url = response.url
            self.problems.append(f"response: {response.request.method} {url}: {response.status}")

    async def _on_dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.type}: {dialog.message}")
        await dialog.dismiss()


async def until_keys_work(page: Page) -> None:
    """Return once the scripts of a page have run: what is typed before that is lost.

    They show the button that changes the theme.
    """
    await expect(page.locator("#theme-switch")).to_be_visible()


async def set_hidden(page: Page, hides: bool) -> None:
    """Tell a page that it is hidden, or seen: without a screen, Chromium takes all for seen."""
    await page.evaluate(_SHOW_OR_HIDE, hides)
