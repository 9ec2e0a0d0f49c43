"""The example store, opened, and the paths of all pages of the dashboard that show something."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import treadle
from tests.http.dashboard import example_store
from treadle import Store
from treadle.testing.clock import ManualClock


@asynccontextmanager
async def example(folder: Path) -> AsyncGenerator[Store]:
    """Write the example into a folder, and open it during the block."""
    clock = ManualClock(treadle.system_clock())
    async with treadle.open_store(f"sqlite:///{folder}/example.db", clock=clock) as store:
        await example_store.fill(store, clock)
        yield store


async def pages_of(store: Store) -> dict[str, str]:
    """Return the paths of the pages of the example, by the names of their pictures."""
    thread = quote(example_store.scripts()[0].thread_id)
    return {
        "overview": "",
        "threads": "threads",
        "thread": f"threads/{thread}",
    }
