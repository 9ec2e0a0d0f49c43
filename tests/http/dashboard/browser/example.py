"""The example store, opened, and the paths of all pages of the dashboard that show something."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

import treadle
from tests.http.dashboard import example_store
from treadle import EntryStatus, Store
from treadle.cli.demo.script import Script
from treadle.testing.clock import ManualClock


@asynccontextmanager
async def opened_example(conversations: Sequence[Script]) -> AsyncGenerator[Store]:
    """Write the example into memory, and open it during the block."""
    clock = ManualClock(treadle.system_clock())
    async with treadle.open_store("memory:", clock=clock) as store:
        await example_store.fill(store, clock, conversations)
        yield store


async def pages(store: Store) -> dict[str, str]:
    """Return the paths of the pages that everybody may see, by the names of their pictures."""
    thread, *_ = (quote(script.thread_id) for script in example_store.scripts())
    return {
        "overview": "",
        "threads": "threads",
        "thread": f"threads/{thread}",
        "thread-waiting": "threads/studio-first-episode",
        "thread-state": f"threads/{thread}/state",
        "thread-runs": f"threads/{thread}/runs",
        "thread-mailbox": f"threads/{thread}/mailbox",
        "thread-deltas": f"threads/{thread}/deltas",
        "thread-raw": f"threads/{thread}/raw",
        "mailboxes": "mailboxes",
        "mailbox": f"mailboxes/{thread}",
        "entries": "entries",
        "entries-dead": "entries?tab=dead",
        "entry": f"entries/{await _entry(store, thread, 'queued')}",
        "entry-dead": f"entries/{await _entry(store, thread, 'dead_letter')}",
        "runs": "runs",
        "run": "runs/studio-hum-removal-turn-4",
        "usage": "usage",
        "documents": "documents",
        "collection": "documents/memories",
        "document": "documents/memories/document?key=anna/tone",
        "workers": "workers",
    }


async def _entry(store: Store, mailbox_id: str, status: EntryStatus) -> str:
    page = await store.mailboxes.search_entries(mailbox_id=mailbox_id, statuses=[status])
    return page.items[0].entry_id


async def pages_of_actions(store: Store) -> dict[str, str]:
    """Return the paths of the pages that show what an action will do."""
    thread = quote(example_store.scripts()[0].thread_id)
    return {
        "fork": f"threads/{thread}/fork?at=5",
        "truncate": f"threads/{thread}/truncate?at=5",
        "interrupt": f"mailboxes/{thread}/interrupt?page=threads",
        "delete": f"threads/{thread}/delete",
        "purge": "purge-threads?days=1",
        "requeue": "requeue-entries?all=true&of=tab%3Ddead",
        "cancel": f"entries/{await _entry(store, thread, 'queued')}/cancel",
    }
