"""Messages: read in pages, by position."""

from itertools import product
from typing import Any

from treadle import MessageMetadata, NotFound, Store, Thread, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.testing._harness.builders import said, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused

checks = Checks(__name__)


CAST = (
    said("0"),
    said("1", visibility="internal"),
    said("2", metadata=MessageMetadata(run_id="r")),
    said("3", metadata=MessageMetadata(run_id="s")),
    said("4", visibility="internal", metadata=MessageMetadata(run_id="r")),
    said("5", metadata=MessageMetadata(run_id="r", step_index=1)),
)


async def read(store: Store, **query: Any) -> tuple[list[int], bool]:
    """The cursors of a page of `CAST`, and whether more follow."""
    page = await store.threads.list_messages("t", **query)
    cursors = [item.cursor for item in page.messages]
    expect([item.message for item in page.messages], [CAST[cursor] for cursor in cursors])
    expect(page.next_cursor, cursors[-1] if cursors else None)
    expect(page.prev_cursor, cursors[0] if cursors else None)
    return cursors, page.has_more


PAGES: dict[str, tuple[dict[str, Any], list[int], bool]] = {
    "all that users see": ({}, [0, 2, 3, 5], False),
    "internal ones": ({"visibility": "internal"}, [1, 4], False),
    "of every visibility": ({"visibility": None}, [0, 1, 2, 3, 4, 5], False),
    "newest first": ({"order": "desc"}, [5, 3, 2, 0], False),
    "the first two": ({"limit": 2}, [0, 2], True),
    "the newest two": ({"limit": 2, "order": "desc"}, [5, 3], True),
    "the last ones, exactly": ({"limit": 2, "after": 2}, [3, 5], False),
    "after a cursor": ({"after": 2, "visibility": None}, [3, 4, 5], False),
    "before a cursor": ({"before": 2, "visibility": None}, [0, 1], False),
    "between two cursors": ({"after": 0, "before": 4, "visibility": None}, [1, 2, 3], False),
    "between cursors, newest first": (
        {"after": 0, "before": 4, "visibility": None, "order": "desc"},
        [3, 2, 1],
        False,
    ),
    "nothing between neighbours": ({"after": 2, "before": 3}, [], False),
    "nothing between crossed cursors": ({"after": 4, "before": 1}, [], False),
    "after the end": ({"after": 5}, [], False),
    "far after the end": ({"after": LARGEST_TIME}, [], False),
    "before a cursor far beyond the end": ({"before": LARGEST_TIME}, [0, 2, 3, 5], False),
    "before the beginning": ({"before": 0}, [], False),
    "negative cursors": ({"after": -9, "before": -1}, [], False),
    "after a negative cursor": ({"after": -9, "limit": 1}, [0], True),
    "before a cursor beyond the end": ({"before": 99, "after": 3}, [5], False),
    "of one run": ({"run_id": "r"}, [2, 5], False),
    "of one run, internal too": ({"run_id": "r", "visibility": None}, [2, 4, 5], False),
    "of a run that said nothing": ({"run_id": "x"}, [], False),
    "as many internal ones as there are": ({"visibility": "internal", "limit": 2}, [1, 4], False),
    "fewer internal ones": ({"visibility": "internal", "limit": 1}, [1], True),
    "as many of a run as there are": ({"run_id": "r", "limit": 2}, [2, 5], False),
    "fewer of a run": ({"run_id": "r", "limit": 1}, [2], True),
    "the newest of a run": ({"run_id": "r", "limit": 1, "order": "desc"}, [5], True),
    "newest first, before a cursor": ({"before": 3, "limit": 1, "order": "desc"}, [2], True),
    "newest first, after a cursor": ({"after": 2, "limit": 2, "order": "desc"}, [5, 3], False),
    "limit 0 is 1": ({"limit": 0}, [0], True),
    "a negative limit is 1": ({"limit": -7}, [0], True),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=PAGES)
async def a_page_of_messages_has(
    store: Store, query: dict[str, Any], cursors: list[int], has_more: bool
) -> None:
    await store.threads.create(Thread(id="t", messages=CAST))
    expect(await read(store, **query), (cursors, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_messages_has_at_most_200(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=tuple(said(str(n)) for n in range(201))))
    page = await store.threads.list_messages("t", limit=10**6)
    expect((len(page.messages), page.has_more), (200, True))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=product([1, 2, 3, 200], ["asc", "desc"]))
async def paging_returns_every_message_once(store: Store, limit: int, order: Any) -> None:
    await store.threads.create(Thread(id="t", messages=CAST[:3]))
    await store.threads.append("t", says("6", "7"))
    onward = "after" if order == "asc" else "before"
    met: list[int] = []
    cursor: int | None = None
    more = True
    while more:
        query: dict[str, Any] = {onward: cursor, "limit": limit, "order": order}
        page = await store.threads.list_messages("t", visibility=None, **query)
        met += [item.cursor for item in page.messages]
        cursor, more = page.next_cursor, page.has_more
    expect(met, list(range(5)) if order == "asc" else list(range(4, -1, -1)))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def messages_appended_between_two_pages_are_on_the_next_page(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=CAST[:1]))
    page = await store.threads.list_messages("t")
    assert not page.has_more
    await store.threads.append("t", says("new"))
    page = await store.threads.list_messages("t", after=page.next_cursor)
    expect([item.message.content for item in page.messages], ["new"])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_skipped_message_takes_no_position(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=(said("0", "a"),)))
    changes = ThreadChangeSet(messages=(said("again", "a"), said("1", "b"), said("2")))
    await store.threads.append("t", changes)
    page = await store.threads.list_messages("t")
    found = [(item.cursor, item.message.content) for item in page.messages]
    expect(found, [(0, "0"), (1, "1"), (2, "2")])
    expect(await store.threads.message_count("t"), 3)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def the_messages_of_an_empty_thread_are_an_empty_page(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    expect(await read(store), ([], False))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def messages_of_every_visibility_are_counted(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=CAST))
    expect(await store.threads.message_count("t"), 6)
    await store.threads.append("t", ThreadChangeSet(messages=(said("6", visibility="internal"),)))
    expect(await store.threads.message_count("t"), 7)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def messages_of_a_missing_thread_are_not_found(store: Store) -> None:
    for call in (store.threads.list_messages, store.threads.message_count):
        with refused(NotFound) as caught:
            await call("t")
        expect((caught.value.kind, caught.value.key), ("thread", "t"))
