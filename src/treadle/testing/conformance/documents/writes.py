"""Writes to documents: put, create, ensure, delete, touch and restore."""

from typing import Any

from treadle import AlreadyExists, Document, InvalidId, InvalidValue, Store
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.core.restoring import RestoreDocument
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

VALUES: dict[str, Any] = {
    "null": None,
    "a float": 1.0,
    "an empty text": "",
    "control characters": "\x00\x1f\x7f\u2028",
    "an object": {"": [], "extra": {"value": None}, "removed": True, "key": ["k"]},
}
BAD_KEYS: dict[str, tuple[str, ...]] = {
    "no parts": (),
    "an empty text": ("",),
    "too many parts": ("x",) * 17,
    "too many bytes": ("é" * 512, ""),
    "the separator": ("a\x1fb",),
    "NUL": ("a", "\x00"),
    "a lone surrogate": ("\ud800",),
}


async def found(store: Store, key: str | tuple[str, ...] = "k") -> Document:
    document = await store.documents.load("c", key)
    assert document is not None
    return document


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_put_creates_a_document_and_replaces_it(store: Store, clock: ManualClock) -> None:
    expect(await store.documents.load("c", "k"), None)
    first = await store.documents.put("c", "k", {"n": 1})
    expect(first.created, True)
    created_at, clock.now = clock.now, clock.now + 5
    second = await store.documents.put("c", "k", {"n": 2}, expires_at=clock.now + 9)
    expect(second.created, False)
    assert second.version > first.version > 0
    expected = Document(
        collection="c",
        key=("k",),
        value={"n": 2},
        version=second.version,
        created_at=created_at,
        updated_at=clock.now,
        expires_at=clock.now + 9,
    )
    expect(await found(store), expected)
    await store.documents.put("c", "k", 3)
    expect((await found(store)).expires_at, None)


@checks.add(Guarantee.VALUES_ARE_KEPT, each=VALUES)
async def a_value_comes_back_exactly(store: Store, value: Any) -> None:
    await store.documents.put("c", "k", value)
    expect((await found(store)).value, value)
    expect((await store.documents.list("c")).items[0].value, value)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def a_key_is_any_text_and_never_the_name_of_a_file(store: Store) -> None:
    keys = [("../x",), ("a/b", "c\\d"), (".", ".."), ("", "x"), ("\x7f\u202e\uffff🧵" * 50,)]
    keys += [("x" * 1024,), ("", "", "é" * 511), tuple(map(str, range(16)))]
    for number, key in enumerate(keys):
        await store.documents.put("c", key, number)
    expect([(await found(store, key)).value for key in keys], list(range(len(keys))))
    expect([each.key for each in (await store.documents.list("c")).items], sorted(keys))


@checks.add(Guarantee.VALUES_ARE_KEPT, each=BAD_KEYS)
async def a_key_that_cannot_be_kept_is_refused(store: Store, key: tuple[str, ...]) -> None:
    for write in (
        store.documents.put("c", key, 1),
        store.documents.delete("c", key),
        store.documents.touch("c", key, expires_at=1),
    ):
        with refused(InvalidValue) as caught:
            await write
        assert ".key" in caught.value.where
    with refused(InvalidValue):
        await store.documents.load("c", key)
    expect((await store.documents.collections()).items, ())


@checks.add(Guarantee.VALUES_ARE_KEPT, each=["", "a/b", "..", "x" * 201, "a\x00"])
async def the_name_of_a_collection_is_an_id(store: Store, name: str) -> None:
    with refused(InvalidId):
        await store.documents.put(name, "k", 1)
    with refused(InvalidId):
        await store.documents.list(name)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_create_refuses_an_existing_document(store: Store) -> None:
    await store.documents.create("c", "k", 1)
    with refused(AlreadyExists):
        await store.documents.create("c", "k", 2)
    expect((await found(store)).value, 1)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def the_first_ensure_wins(store: Store) -> None:
    first = await store.documents.ensure("c", "k", 1)
    second = await store.documents.ensure("c", "k", 2)
    expect((first.created, second.created, second.version), (True, False, first.version))
    expect((await found(store)).value, 1)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_delete_says_if_there_was_a_document(store: Store) -> None:
    await store.documents.put("c", "k", 1)
    expect(await store.documents.delete("c", "k"), True)
    expect(await store.documents.delete("c", "k"), False)
    expect(await store.documents.load("c", "k"), None)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_touch_moves_the_expiry_and_nothing_else(store: Store, clock: ManualClock) -> None:
    expect(await store.documents.touch("c", "k", expires_at=None), False)
    await store.documents.put("c", "k", {"big": "x" * 10_000}, expires_at=clock.now + 1)
    before = await found(store)
    clock.now += 1
    expect(await store.documents.touch("c", "k", expires_at=None), False)
    clock.now -= 1
    expect(await store.documents.touch("c", "k", expires_at=clock.now + 50), True)
    expect((await found(store)).expires_at, clock.now + 50)
    expect(await store.documents.touch("c", "k", expires_at=before.expires_at), True)
    expect(await found(store), before)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def documents_of_two_collections_do_not_meet(store: Store) -> None:
    await store.documents.put("c", ("d", "k"), 1)
    await store.documents.put("c d", "k", 2)
    await store.documents.put("c.d", "k", 3)
    expect(await store.documents.load("c d", "d"), None)
    expect([each.key for each in (await store.documents.list("c")).items], [("d", "k")])


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_restored_document_goes_on_from_its_version(store: Store, clock: ManualClock) -> None:
    for version in (1, 7, clock.now * 1_000 + 10**9, 2**53 + 5):
        document = Document(
            collection="c",
            key=("k",),
            value=[1.0],
            version=version,
            created_at=3,
            updated_at=4,
            extra={"later": None},
        )
        await store.commit((RestoreDocument(document=document),))
        expect(await found(store), document)
        stored = await store.documents.put("c", "k", 2, expected=version)
        assert stored.version > version
        expect((await found(store)).created_at, 3)
    other = await store.documents.put("c", "other", 1)
    assert other.version < 2**53, "one extreme version pushes up those of all documents"


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_document_at_the_largest_version_is_read_and_not_changed(store: Store) -> None:
    document = Document(
        collection="c", key=("k",), version=LARGEST_TIME, created_at=0, updated_at=0
    )
    await store.commit((RestoreDocument(document=document),))
    with refused(InvalidValue):
        await store.documents.put("c", "k", 1)
    expect(await found(store), document)
    await store.documents.put("c", "other", 1)
    expect(await store.documents.delete("c", "k"), True)
