"""Several processes on one LangGraph thread."""

from collections.abc import Callable

import pytest

from tests.frameworks.langgraph.graphs import thread, values_of
from tests.frameworks.processes import run_together
from treadle import open_store
from treadle.integrations.langgraph import TreadleSaver, TreadleStore


@pytest.mark.parametrize("kind", ["files", "sqlite", "postgres"])
async def test_four_processes_lose_nothing(kind: str, new_url: Callable[[str], str]) -> None:
    url = new_url(kind)
    async with open_store(url, migrate=True) as store:
        run_together("tests.frameworks.langgraph.increment", url)
        values = await values_of(TreadleSaver(store), thread())
        wanted = {f"{number}:{time}" for number in range(4) for time in range(50)}
        assert len(values["a"]) == values["count"] == 200
        assert set(values["a"]) == wanted
        items = await TreadleStore(store).asearch(("numbers",), limit=1_000)
        assert len(items) == 200
        namespaces = await TreadleStore(store).alist_namespaces()
        assert namespaces == [("numbers", str(number)) for number in range(4)]
