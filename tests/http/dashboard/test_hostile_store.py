"""A store that wants to harm its reader: every page of it is small, harmless and soon there."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import treadle
from tests.http.dashboard import hostile_store
from tests.http.dashboard.conftest import See
from tests.http.dashboard.crawling import Parsed, crawl, kind_of
from treadle.http import admin
from treadle.store.store import Store

PAGE_BYTES = 300_000
"""The largest page."""
SECONDS = 2.0
"""The slowest page, on a busy machine."""
FOREIGN = {"style", "iframe", "object", "embed", "base", "video", "audio"}
"""Elements that no page has; the store tries to add some of them."""
DANGEROUS = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\U000e0041]"
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with treadle.open_store(await hostile_store.written(tmp_path / "hostile.db")) as opened:
        yield opened


async def test_every_page_of_a_hostile_store_is_small_and_harmless(see: See) -> None:
    began = time.monotonic()
    answers = await crawl(await see(admin("ops")), most=12)
    seconds = time.monotonic() - began
    kinds = {kind_of(url) for url in answers}
    assert {"", "threads", "threads/*"} <= kinds
    for url, response in answers.items():
        is_damaged = hostile_store.DAMAGED in url
        assert response.status_code == 200 or is_damaged, (url, response.text[:2_000])
        if not response.headers["content-type"].startswith("text/html"):
            continue
        assert len(response.content) <= PAGE_BYTES, (url, len(response.content))
        assert not DANGEROUS.search(response.text), url
        check_elements(url, Parsed(response.text))
    assert seconds / len(answers) < SECONDS, answers.keys()


def check_elements(url: str, page: Parsed) -> None:
    for tag, attributes in page.elements:
        assert tag not in FOREIGN, (url, tag)
        assert not [name for name in attributes if name.startswith("on") or name == "style"], url
        for name in ("href", "src", "action", "formaction"):
            value = attributes.get(name) or ""
            assert value.startswith(("/", "?", "#")) or not value, (url, tag, value)
        if tag in ("script", "img"):
            assert str(attributes.get("src")).startswith("/static/"), (url, attributes)
