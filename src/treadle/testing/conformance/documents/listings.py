"""Pages of documents, several by their keys, and the names of collections."""

from treadle import InvalidValue, Store
from treadle.backends.base import Guarantee
from treadle.core.document_keys import Key
from treadle.core.documents import KEYS
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused

checks = Checks(__name__)


async def filled(store: Store, count: int) -> list[Key]:
    keys: list[Key] = [("k", f"{number:04}") for number in range(count)]
    async with store.batch() as step:
        for number, key in enumerate(keys):
            step.documents.put("c", key, number)
    return keys


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=["asc", "desc"])
async def pages_hold_every_document_once(store: Store, order: str) -> None:
    keys = await filled(store, 25)
    found: list[Key] = []
    cursor: Key | None = None
    while True:
        if order == "asc":
            page = await store.documents.list("c", prefix="k", after=cursor, limit=10)
        else:
            page = await store.documents.list(
                "c", prefix="k", before=cursor, limit=10, order="desc"
            )
        found += [each.key for each in page.items]
        cursor = page.next_cursor
        if not page.has_more:
            break
    expect(found, keys if order == "asc" else keys[::-1])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def the_limit_of_a_page_is_clamped(store: Store) -> None:
    keys = await filled(store, 201)
    for limit, size in ((-1, 1), (0, 1), (1, 1), (200, 200), (10**9, 200)):
        page = await store.documents.list("c", limit=limit)
        expect((len(page.items), page.has_more, page.next_cursor), (size, True, keys[size - 1]))
    page = await store.documents.list("c", after=keys[0], limit=200)
    expect((len(page.items), page.has_more), (200, False))
    empty = await store.documents.list("none")
    expect((empty.items, empty.has_more, empty.next_cursor), ((), False, None))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_without_values_has_all_the_rest(store: Store) -> None:
    await store.documents.put("c", "k", {"large": "x" * 1000})
    (bare,) = (await store.documents.list("c", values=False)).items
    document = await store.documents.load("c", "k")
    assert document is not None
    expect((bare.value, bare.version), (None, document.version))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def several_documents_are_loaded_in_the_order_asked(store: Store) -> None:
    keys = await filled(store, 3)
    found = await store.documents.load_many("c", [keys[2], "none", keys[0], keys[2]])
    expect([None if each is None else each.value for each in found], [2, None, 0, 2])
    expect(await store.documents.load_many("c", []), ())
    many = [("k", str(number)) for number in range(KEYS)]
    expect(len(await store.documents.load_many("c", many)), KEYS)
    with refused(InvalidValue):
        await store.documents.load_many("c", [*many, "one more"])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def collections_are_listed_in_order(store: Store) -> None:
    names = ["A", "a", "a b", "a.b", "ab", "b", "é", "\uffff", "🧵"]
    async with store.batch() as step:
        for name in reversed(names):
            for key in "xyz":
                step.documents.put(name, key, 1)
    expect((await store.documents.collections()).items, tuple(names))
    first = await store.documents.collections(limit=2)
    expect((first.items, first.has_more, first.next_cursor), (("A", "a"), True, "a"))
    rest = await store.documents.collections(after="a", limit=200)
    expect((rest.items, rest.has_more), (tuple(names[2:]), False))
    expect((await store.documents.collections(prefix="a")).items, tuple(names[1:5]))
    expect((await store.documents.collections(prefix="a", after="a b")).items, ("a.b", "ab"))
    expect((await store.documents.collections(prefix="🧵")).items, ("🧵",))
    await store.documents.delete_range("a")
    expect((await store.documents.collections(prefix="a")).items, ("a b", "a.b", "ab"))
