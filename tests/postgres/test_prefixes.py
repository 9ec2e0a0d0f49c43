"""Claims of mailboxes by prefix, with looks so short that a few entries need all of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from treadle import Store, open_store
from treadle.backends.postgres import _claims
from treadle.backends.sql import among

LOOKS = (1, 2, 4)


@pytest.fixture
async def store(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(_claims, "LOOKS", LOOKS)
    monkeypatch.setattr(_claims, "FRONT", 1)
    monkeypatch.setattr(among, "LOOKS", LOOKS)
    async with open_store(url) as store:
        yield store


@pytest.mark.parametrize("own_are_first", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_claims_by_prefix_beside_others_drain_both(
    store: Store, own_are_first: bool, limit: int
) -> None:
    async with store.batch() as step:
        for number in range(30):
            prefix = "ab"[(number % 3 == 0) == own_are_first]
            step.mailboxes.send(f"{prefix}{number}", number, priority=number % 2)

    async def drain(prefix: str) -> list[int]:
        found: list[int] = []
        while entries := await store.mailboxes.claim(limit, consumer="w", mailbox_prefix=prefix):
            found += [each.payload for each in entries]
            async with store.batch() as step:
                for each in entries:
                    assert each.mailbox_id.startswith(prefix)
                    step.mailboxes.ack(each)
        return found

    drained = await asyncio.gather(drain("a"), drain("a"), drain("b"))
    assert sorted(number for part in drained for number in part) == list(range(30))
    assert drained[2] == sorted(drained[2], key=lambda number: (-(number % 2), number))
