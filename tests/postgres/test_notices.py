"""Notices wake who waits in another process; where there are none, it looks by itself."""

import asyncio

import pytest

from treadle import Store, open_store


async def wakes(store: Store, elsewhere: Store) -> None:
    """Fail unless a wait elsewhere ends soon after something is sent here."""
    waiting = asyncio.ensure_future(elsewhere.mailboxes.wait(60_000))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await store.mailboxes.send("box", 1)
    await asyncio.wait_for(waiting, 10)


async def test_a_notice_wakes_a_caller_that_does_not_look_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.backends.postgres.backend.LOOK_SECONDS", 3_600)
    async with open_store(url, migrate=True) as store, open_store(url) as elsewhere:
        await wakes(store, elsewhere)


async def test_a_caller_without_notices_looks_by_itself(url: str) -> None:
    async with (
        open_store(url, migrate=True) as store,
        open_store(f"{url}&listen=off") as elsewhere,
    ):
        await wakes(store, elsewhere)
