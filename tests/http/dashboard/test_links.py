"""Links lead to pages that exist, for everybody to whom they are shown."""

from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import treadle
import treadle.http
from tests.http.clients_in_process import client
from tests.http.dashboard import example_store
from tests.http.dashboard.conftest import See
from tests.http.dashboard.crawling import Parsed, crawl, kind_of
from treadle.http import Principal, admin, operator, user, viewer
from treadle.store.store import Store
from treadle.testing.clock import ManualClock


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    clock = ManualClock(treadle.system_clock())
    async with treadle.open_store("memory:", clock=clock) as opened:
        await example_store.fill(opened, clock, example_store.few_scripts())
        yield opened


@pytest.mark.parametrize("principal", [admin("a"), operator("o"), viewer("v"), user("anna")])
async def test_every_link_leads_to_a_page(see: See, principal: Principal) -> None:
    answers = await crawl(await see(principal), most=6)
    assert {url: each.status_code for url, each in answers.items() if each.status_code != 200} == {}
    assert {"", "threads", "threads/*", "threads/*/messages/*"} <= set(map(kind_of, answers))


async def test_a_viewer_finds_nothing_to_press(see: See) -> None:
    answers = await crawl(await see(viewer("v")), most=6)
    for url, response in answers.items():
        for tag, attributes in Parsed(response.text).elements:
            assert tag != "form" or attributes.get("method", "get") != "post", (url, attributes)


async def test_every_link_of_a_mounted_dashboard_stays_below_its_path(store: Store) -> None:
    authenticate = treadle.http.everyone(admin("a"))
    dashboard = treadle.http.dashboard(store, authenticate=authenticate)
    async with client(Starlette(routes=[Mount("/ops/treadle", dashboard)])) as browser:
        answers = await crawl(browser, most=6, start="/ops/treadle/")
    assert len(answers) > 20
    assert [url for url in answers if not url.startswith("/ops/treadle/")] == []
    assert {url: each.status_code for url, each in answers.items() if each.status_code != 200} == {}


async def test_an_owner_finds_nothing_of_another(store: Store, see: See) -> None:
    page = await store.threads.list_summaries(limit=200)
    foreign = {head.id for head in page.items if head.resource_id != "anna"}
    assert len(foreign) > 8
    answers = await crawl(await see(user("anna")), most=15)
    for url, response in answers.items():
        assert not [name for name in foreign if name in response.text], url
