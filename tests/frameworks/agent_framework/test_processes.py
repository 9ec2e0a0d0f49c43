"""Several processes use one session: none of their messages is lost, or there twice."""

from collections.abc import Callable

from tests.frameworks.processes import run_together
from treadle import open_store
from treadle.integrations.agent_framework import TreadleHistoryProvider


async def test_processes_that_append_lose_nothing(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    async with open_store(url) as store:
        run_together("tests.frameworks.agent_framework.append", url)
        found = await TreadleHistoryProvider(store).get_messages("s")
        assert sorted(message.text for message in found) == sorted(
            f"{process}-{number}" for process in range(4) for number in range(50)
        )
