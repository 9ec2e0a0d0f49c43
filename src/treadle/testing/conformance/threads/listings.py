"""Listings of threads: filters, order and pages."""

from treadle import (
    Store,
    Thread,
)
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def threads_are_listed_in_the_order_of_their_ids(store: Store) -> None:
    for key in ("b", "a.b", "🧵", "é", "a", "B", "\ufb00", "a-b"):
        await store.threads.create(Thread(id=key))
    ordered = ("B", "a", "a-b", "a.b", "b", "é", "\ufb00", "🧵")
    expect((await store.threads.list()).items, ordered)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def threads_are_listed_by_owner_and_parent(store: Store) -> None:
    await store.threads.create(Thread(id="a", resource_id="x"))
    await store.threads.create(Thread(id="b", resource_id="x", parent_thread_id="a"))
    await store.threads.create(Thread(id="c", resource_id="y", parent_thread_id="a"))
    expect((await store.threads.list(resource_id="x")).items, ("a", "b"))
    expect((await store.threads.list(parent_thread_id="a")).items, ("b", "c"))
    both = await store.threads.list(resource_id="x", parent_thread_id="a")
    expect((both.items, both.total, both.has_more), (("b",), 1, False))
    expect((await store.threads.list(resource_id="z")).items, ())


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listing_follows_a_thread_whose_owner_changes(store: Store) -> None:
    await store.threads.create(Thread(id="a", resource_id="x"))
    expect((await store.threads.list(resource_id="x")).items, ("a",))
    await store.threads.save(Thread(id="a", resource_id="y"))
    expect((await store.threads.list(resource_id="x")).items, ())
    expect((await store.threads.list(resource_id="y")).items, ("a",))


PAGES = [
    (0, 2, ("a", "b"), True),
    (2, 2, ("c", "d"), True),
    (4, 2, ("e",), False),
    (3, 2, ("d", "e"), False),
    (5, 2, (), False),
    (99, 2, (), False),
    (-3, 2, ("a", "b"), True),
    (0, 0, ("a",), True),
    (0, -5, ("a",), True),
    (0, LARGEST_TIME, ("a", "b", "c", "d", "e"), False),
    (LARGEST_TIME, 2, (), False),
]


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=PAGES)
async def a_page_of_threads_has_the_total_and_says_if_more_follow(
    store: Store, offset: int, limit: int, items: tuple[str, ...], has_more: bool
) -> None:
    for key in "edcba":
        await store.threads.create(Thread(id=key))
    page = await store.threads.list(offset=offset, limit=limit)
    expect((page.items, page.total, page.has_more), (items, 5, has_more))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_filtered_page_of_threads_has_the_total_of_its_filter(store: Store) -> None:
    for key in "abcdef":
        await store.threads.create(Thread(id=key, resource_id="x" if key in "ace" else "y"))
    page = await store.threads.list(resource_id="x", limit=2)
    expect((page.items, page.total, page.has_more), (("a", "c"), 3, True))
    page = await store.threads.list(resource_id="x", limit=2, offset=2)
    expect((page.items, page.total, page.has_more), (("e",), 3, False))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_threads_has_at_most_200(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.threads.create(Thread(id=f"t{number:03}"))
    page = await store.threads.list(limit=500)
    expect((len(page.items), page.total, page.has_more), (200, 201, True))
