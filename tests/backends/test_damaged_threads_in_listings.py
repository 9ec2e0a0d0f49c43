"""A listing of threads goes on behind a damaged row, and ends."""

from pathlib import Path

import pytest

from tests.backends.statements import execute, in_databases
from treadle import Message, Store, Thread, open_store
from treadle.core.pages import Order
from treadle.core.thread_summaries import ThreadKey, ThreadSummaryPage

KEY_OF_B = "thread_key = (SELECT thread_key FROM threads WHERE thread_id = 'b')"


async def listed(store: Store, by: ThreadKey, order: Order = "asc", limit: int = 1) -> list[str]:
    """The ids on all pages, of at most ten."""
    found: list[str] = []
    page = ThreadSummaryPage(items=(), next_cursor=None)
    for _ in range(10):
        page = await store.threads.list_summaries(
            by=by, order=order, limit=limit, after=page.next_cursor
        )
        found += [item.id for item in page.items]
        if page.next_cursor is None:
            break
    return found


@in_databases
@pytest.mark.parametrize("by", ["id", "created_at", "updated_at"])
async def test_a_page_of_nothing_but_a_damaged_row_does_not_end_a_listing(
    store_url: str, by: ThreadKey
) -> None:
    async with open_store(store_url) as store:
        for thread in "abc":
            await store.threads.create(Thread(id=thread))
        execute(store_url, "UPDATE threads SET version = -5 WHERE thread_id = 'b'")
        assert sorted(await listed(store, by)) == ["a", "c"]


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("column", ["updated_at", "changed_at"])
@pytest.mark.parametrize("time", [0, 2**60])
async def test_a_listing_ends_if_a_thread_has_two_times(
    store_url: str, column: str, time: int
) -> None:
    async with open_store(store_url) as store:
        for thread in "abc":
            await store.threads.create(Thread(id=thread))
        table = "threads" if column == "updated_at" else "thread_times"
        execute(store_url, f"UPDATE {table} SET {column} = {time} WHERE {KEY_OF_B}")
        assert sorted(await listed(store, "updated_at")) == ["a", "b", "c"]


ANYWHERE: dict[str, tuple[ThreadKey, str]] = {
    "ids that are none": ("id", "UPDATE threads SET thread_id = '/' || thread_id"),
}
IN_POSTGRES: dict[str, tuple[ThreadKey, str]] = {
    "changes before none": ("updated_at", "UPDATE thread_times SET changed_at = -2"),
    "changed ids": ("updated_at", "UPDATE thread_times SET changed_id = '..' || changed_id"),
}
IN_SQLITE: dict[str, tuple[ThreadKey, str]] = {
    "changes before none": ("updated_at", "UPDATE threads SET updated_at = -2"),
    "changed ids": ("updated_at", "UPDATE threads SET thread_id = '..' || thread_id"),
    "times that are text": ("created_at", "UPDATE threads SET created_at = 'x' || thread_id"),
    "bytes": ("id", "UPDATE threads SET thread_id = CAST('c' || thread_id AS BLOB)"),
    "no UTF-8": ("id", "UPDATE threads SET thread_id = CAST(x'63ff' || thread_id AS TEXT)"),
}
DAMAGES = [
    pytest.param("sqlite", *damage, id=f"sqlite: {name}")
    for name, damage in (ANYWHERE | IN_SQLITE).items()
] + [
    pytest.param("postgres", *damage, id=f"postgres: {name}")
    for name, damage in (ANYWHERE | IN_POSTGRES).items()
]


@pytest.mark.parametrize(("store_url", "by", "statement"), DAMAGES, indirect=["store_url"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2])
async def test_whole_pages_of_rows_without_an_order_do_not_end_a_listing(
    store_url: str, by: ThreadKey, statement: str, order: Order, limit: int
) -> None:
    key = "changed_id" if "thread_times" in statement else "thread_id"
    async with open_store(store_url) as store:
        async with store.batch() as step:
            for thread in ("a", "m", "z", *(f"m{number}" for number in range(9))):
                step.threads.create(Thread(id=thread))
        execute(store_url, f"{statement} WHERE {key} LIKE 'm_'")
        assert sorted(await listed(store, by, order, limit)) == ["a", "m", "z"]
        page = await store.threads.list_summaries(by=by, order=order)
        assert len(page.unreadable) == 9


def damage_message_of_b(store_url: str) -> str:
    """Return the name that the damaged record has in errors."""
    path = Path(store_url, "b.json")
    if not path.exists():
        execute(store_url, f"UPDATE messages SET body = '7' WHERE {KEY_OF_B}")
        return "thread 'b'"
    path.write_text(path.read_text().replace('"role": "user"', '"role": "nobody"'))
    return "b.json"


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
async def test_a_last_message_that_cannot_be_read_hides_no_thread(store_url: str) -> None:
    async with open_store(store_url) as store:
        for thread in "ab":
            await store.threads.create(Thread(id=thread))
            await store.threads.append(thread, Message.user(thread))
    name = damage_message_of_b(store_url)
    async with open_store(store_url) as store:
        page = await store.threads.list_summaries(with_last_message=True)
        assert [each.id for each in page.items] == ["a", "b"]
        assert [each.last_message is None for each in page.items] == [False, True]
        assert page.unreadable == (name,)
