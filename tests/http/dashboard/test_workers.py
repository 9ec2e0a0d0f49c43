"""The page of workers: who holds entries."""

import re

import httpx

from treadle.store.store import Store


async def test_workers_are_listed_while_they_hold_entries(
    store: Store, admin: httpx.AsyncClient
) -> None:
    assert "treadle work" in (await admin.get("/workers")).text
    for number in range(3):
        await store.mailboxes.send(f"m{number}", "work")
    await store.mailboxes.claim(2, consumer="w<1>", lease_ms=30_000)
    page = (await admin.get("/workers")).text
    [row] = re.findall(r"<tr data-row>.*?</tr>", page, re.DOTALL)
    assert "w&lt;1&gt;" in row
    assert re.findall(r'<td class="number[^"]*">(\d+)</td>', row) == ["2", "2", "0"]
    assert "claimed_by=w%3C1%3E" in row
