"""Every page: what axe finds, in light and dark; how wide it is; and what the console says."""

from tests.http.dashboard.browser.accessibility import barriers
from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from tests.http.dashboard.browser.example import pages, pages_of_actions
from treadle import Store

NARROW = 360


async def test_every_page_can_be_read_by_all_in_light_in_dark_and_on_a_phone(
    browsing: Browsing, serve: Serve, example: Store
) -> None:
    found: dict[str, object] = {}
    url = await serve(example)
    page = await browsing.open(url)
    for name, path in {**await pages(example), **await pages_of_actions(example)}.items():
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": 1200, "height": 800})
        await page.goto(f"{url}/{path}")
        found[name] = await barriers(page)
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size({"width": NARROW, "height": 740})
        found[f"{name}, dark and narrow"] = await barriers(page, "color-contrast", "target-size")
        width = await page.evaluate("document.documentElement.scrollWidth")
        found[f"{name}, its width"] = [f"{width} pixels"] if width > NARROW else []
    assert {name: faults for name, faults in found.items() if faults} == {}
