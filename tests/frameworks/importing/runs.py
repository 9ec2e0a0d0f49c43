"""Run importers, and the command, and see that a store does not change."""

import json
import subprocess
import sys
from typing import Any

from treadle import Document, Store
from treadle.integrations.importing import Imported, Importer


async def run(importer: Importer, store: Store, source: str) -> dict[str, Imported]:
    """Import a database; return what became of its conversations."""
    found = [each async for each in importer(store, source)]
    assert [each.done for each in found] == list(range(1, len(found) + 1))
    assert {each.total for each in found} <= {len(found)}
    return {each.name: each for each in found}


async def everything(store: Store) -> list[Any]:
    """All documents with their versions, and all threads with theirs."""
    found: list[Any] = []
    for collection in (await store.documents.collections(limit=200)).items:
        after: Any = None
        while True:
            page = await store.documents.list(collection, after=after, limit=200)
            found += map(_without_times, page.items)
            if not page.has_more:
                break
            after = page.next_cursor
    for head in (await store.threads.list_summaries(limit=200)).items:
        found.append((head.id, head.version, head.message_count))
    return found


def _without_times(document: Document) -> tuple[Any, ...]:
    return document.collection, document.key, document.version, document.value


def command(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run `treadle import --json`; return its status, what it wrote, and its errors."""
    done = subprocess.run(
        [sys.executable, "-m", "treadle", "import", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr
