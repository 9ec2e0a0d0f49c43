"""What axe finds in a page."""

from functools import cache
from importlib.resources import files
from typing import Any

from playwright.async_api import Page


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


async def barriers(page: Page, *rules: str) -> list[str]:
    """Return what keeps people out of a page, a line for each element: rule, element, reason.

    Args:
        page: the page.
        rules: the rules of axe to check; without them, all.
    """
    # A debugger may run it whatever the policy of the page forbids, so the policy stays as it is.
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(f"{_axe()};undefined")
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    found: dict[str, Any] = await page.evaluate(
        "options => axe.run(options)", {"resultTypes": ["violations"], **only}
    )
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
