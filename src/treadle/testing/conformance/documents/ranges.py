"""Ranges: documents below a prefix, and between two keys, are removed together."""

from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.core.document_keys import Key
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

KEYS: tuple[Key, ...] = (
    ("a",),
    ("a", ""),
    ("a", "b"),
    ("a", "b", "c"),
    ("a", "b!"),
    ("a!",),
    ("ab",),
    ("ab", "c"),
    ("b",),
    ("\uffff",),
    ("🧵",),
)
"""In their order: by parts, and parts by code points."""
RANGES: dict[str, tuple[dict[str, Any], tuple[Key, ...]]] = {
    "everything": ({}, KEYS),
    "below a prefix": ({"prefix": "a"}, KEYS[1:5]),
    "below a prefix of two parts": ({"prefix": ("a", "b")}, KEYS[3:4]),
    "below a prefix that is no key": ({"prefix": ("", "x")}, ()),
    "below the last text": ({"prefix": "🧵"}, ()),
    "after a key": ({"after": "ab"}, KEYS[7:]),
    "after a key that is not there": ({"after": ("a", "a")}, KEYS[2:]),
    "before a key": ({"before": ("a", "b")}, KEYS[:2]),
    "between two keys": ({"after": ("a",), "before": ("ab",)}, KEYS[1:6]),
    "between a key and itself": ({"after": "a", "before": "a"}, ()),
    "between two keys the wrong way round": ({"after": "b", "before": "a"}, ()),
    "below a prefix, after a key": ({"prefix": "a", "after": ("a", "b")}, KEYS[3:5]),
    "below a prefix, before a key": ({"prefix": "a", "before": ("a", "b!")}, KEYS[1:4]),
    "below a prefix, after all of it": ({"prefix": "a", "after": "b"}, ()),
    "below a prefix, between keys around it": (
        {"prefix": "ab", "after": "a", "before": "b"},
        KEYS[7:8],
    ),
}


async def filled(store: Store) -> None:
    async with store.batch() as step:
        for number, key in enumerate(reversed(KEYS)):
            step.documents.put("c", key, number)
            step.documents.put("d", key, number)


async def keys_in(store: Store, collection: str = "c") -> list[Key]:
    return [each.key for each in (await store.documents.list(collection, limit=200)).items]


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=RANGES)
async def a_range_is_listed(store: Store, query: dict[str, Any], expected: tuple[Key, ...]) -> None:
    await filled(store)
    page = await store.documents.list("c", **query)
    expect(tuple(each.key for each in page.items), expected)
    back = await store.documents.list("c", **query, order="desc")
    expect(tuple(each.key for each in back.items), expected[::-1])


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE, each=RANGES)
async def a_range_is_removed(
    store: Store, query: dict[str, Any], expected: tuple[Key, ...]
) -> None:
    await filled(store)
    expect(await store.documents.delete_range("c", **query), len(expected))
    expect(await keys_in(store), [key for key in KEYS if key not in expected])
    expect(await keys_in(store, "d"), list(KEYS))


@checks.add(Guarantee.ONE_ORDER)
async def a_removal_of_a_range_sees_its_own_batch(store: Store) -> None:
    await filled(store)
    async with store.batch() as step:
        step.documents.put("c", ("a", "new"), 1)
        step.documents.delete("c", ("a", "b"))
        first = step.documents.delete_range("c", prefix="a")
        step.documents.put("c", ("a", "later"), 2)
        second = step.documents.delete_range("c", prefix="a", before=("a", "later"))
    expect((first.result, second.result), (4, 0))
    expect(await keys_in(store), [("a",), ("a", "later"), *KEYS[5:]])


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_removal_counts_what_has_not_expired(store: Store, clock: ManualClock) -> None:
    await store.documents.put("c", "a", 1, expires_at=clock.now)
    await store.documents.put("c", "b", 1)
    expect(await store.documents.delete_range("c"), 1)
    expect((await store.documents.list("c", now=0)).items, ())


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_removal_in_a_batch_that_fails_removes_nothing(store: Store) -> None:
    await filled(store)
    failed = False
    try:
        async with store.batch() as step:
            step.documents.delete_range("c")
            step.documents.create("d", "a", 1)
    except Exception:
        failed = True
    expect((failed, await keys_in(store)), (True, list(KEYS)))
