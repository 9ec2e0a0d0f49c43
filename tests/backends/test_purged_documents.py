"""A purge of documents has no more in memory than it may delete, however many have expired."""

from typing import Any

import pytest

from tests.marks import every_backend
from treadle import Store
from treadle.backends.files._collection_files import CollectionFiles
from treadle.backends.sql.working_set import WorkingSet

COUNT = 300
LIMIT = 10


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents the backends have loaded, each time."""
    counts: list[int] = []
    load_rows, read_lines = WorkingSet._load_documents, CollectionFiles.read_lines

    def count_rows(rows: WorkingSet, found: Any, damage: Any) -> None:
        counts.append(len(found))
        load_rows(rows, found, damage)

    def count_lines(files: CollectionFiles, name: str, spans: Any) -> list[bytes]:
        counts.append(len(spans))
        return read_lines(files, name, spans)

    monkeypatch.setattr(WorkingSet, "_load_documents", count_rows)
    monkeypatch.setattr(CollectionFiles, "read_lines", count_lines)
    return counts


async def expire(store: Store) -> None:
    async with store.batch() as step:
        for number in range(COUNT):
            step.documents.put(f"c{number % 3}", str(number), number, expires_at=number)


@every_backend
async def test_a_purge_loads_what_it_may_delete(store: Store, loaded: list[int]) -> None:
    await expire(store)
    loaded.clear()
    assert await store.documents.purge(COUNT, limit=LIMIT) == LIMIT
    assert sum(loaded) <= LIMIT + 100  # a folder reads a hundred lines at a time
    left = await store.documents.list_expired(limit=1)
    assert [each.key for each in left] == [(str(LIMIT),)]


@every_backend
async def test_a_whole_purge_is_of_many_steps(store: Store, loaded: list[int]) -> None:
    async with store.batch() as step:
        for number in range(1_500):
            step.documents.put("c", str(number), number, expires_at=number)
        step.documents.put("c", "stays", 1, expires_at=2**62)
    loaded.clear()
    assert await store.purge_documents(2**62) == 1_500
    assert max(loaded, default=0) <= 1_000
    assert [each.key for each in (await store.documents.list("c", now=0)).items] == [("stays",)]
