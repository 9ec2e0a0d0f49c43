from collections.abc import Callable

import pytest

from tests.frameworks.openai_agents.count import TIMES
from tests.frameworks.processes import run_together
from treadle import Thread, open_store
from treadle.integrations.openai_agents import TreadleSession

PROCESSES = 4


@pytest.mark.parametrize("kind", ["files", "sqlite", "postgres"])
async def test_processes_lose_no_item(kind: str, new_url: Callable[[str], str]) -> None:
    url = new_url(kind)
    async with open_store(url, migrate=True) as store:
        await store.threads.create(Thread(id="count"))
    run_together("tests.frameworks.openai_agents.count", url, count=PROCESSES)
    async with open_store(url) as store:
        counted = await TreadleSession("count", store).get_items()
        shared = await TreadleSession("shared", store).get_items()
    numbers = [int(str(item.get("content"))) for item in counted]
    assert numbers == list(range(1, PROCESSES * TIMES + 1))
    texts = sorted(str(item.get("content")) for item in shared)
    assert texts == sorted(f"{p}-{n}" for p in range(PROCESSES) for n in range(TIMES))
