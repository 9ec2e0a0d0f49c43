from collections.abc import Callable

import pytest

from tests.frameworks.processes import run_together
from tests.frameworks.pydantic_ai.count import TIMES
from tests.frameworks.pydantic_ai.messages import texts
from treadle import open_store
from treadle.integrations.pydantic_ai import TreadleConversationStore

PROCESSES = 4


@pytest.mark.parametrize("kind", ["files", "sqlite", "postgres"])
async def test_processes_lose_no_message(kind: str, new_url: Callable[[str], str]) -> None:
    url = new_url(kind)
    async with open_store(url, migrate=True):
        pass
    run_together("tests.frameworks.pydantic_ai.count", url, count=PROCESSES)
    async with open_store(url) as store:
        counted = texts(await TreadleConversationStore(store).load("count"))
    assert counted == [str(number) for number in range(1, PROCESSES * TIMES + 1)]
