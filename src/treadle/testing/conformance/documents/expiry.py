"""Expiry: from its time on a document counts as absent, whether or not it is removed."""

from treadle import InvalidId, InvalidValue, Store
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.store.documents import AnyKey
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def an_expired_document_is_absent_for_reads(store: Store, clock: ManualClock) -> None:
    await store.documents.put("c", "k", 1, expires_at=clock.now + 1)
    await store.documents.put("c", "stays", 2)
    await store.documents.put("d", "k", 3, expires_at=clock.now + 1)
    expect(len((await store.documents.list("c")).items), 2)
    clock.now += 1
    expect(await store.documents.load("c", "k"), None)
    expect((await store.documents.load_many("c", ["k"])), (None,))
    expect([each.key for each in (await store.documents.list("c")).items], [("stays",)])
    expect((await store.documents.collections()).items, ("c",))


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def an_expired_document_is_absent_for_writes(store: Store, clock: ManualClock) -> None:
    expiring = clock.now + 1
    versions: list[int] = []
    for key in ("put", "create", "ensure", "delete", "check"):
        versions.append((await store.documents.put("c", key, 1, expires_at=expiring)).version)
    clock.now = expiring
    stored = await store.documents.put("c", "put", 2, expected=0)
    expect(stored.created, True)
    assert stored.version > versions[0]
    document = await store.documents.load("c", "put")
    assert document is not None
    expect(document.created_at, clock.now)
    expect((await store.documents.create("c", "create", 2)).created, True)
    expect((await store.documents.ensure("c", "ensure", 2)).created, True)
    expect(await store.documents.delete("c", "delete"), False)
    async with store.batch() as step:
        step.documents.check("c", "check", expected=0)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_document_may_expire_some_time_after_its_commit(
    store: Store, clock: ManualClock
) -> None:
    for write in (store.documents.put, store.documents.create, store.documents.ensure):
        await write("c", write.__name__, 1, expires_in_ms=10)
        document = await store.documents.load("c", write.__name__)
        assert document is not None
        expect(document.expires_at, clock.now + 10)
    clock.now += 9
    expect(await store.documents.touch("c", "put", expires_in_ms=10), True)
    clock.now += 1
    expect([each.key for each in (await store.documents.list("c")).items], [("put",)])
    await store.documents.put("c", "put", 1, expires_in_ms=LARGEST_TIME)
    document = await store.documents.load("c", "put")
    assert document is not None
    expect(document.expires_at, LARGEST_TIME)
    with refused(InvalidValue):
        await store.documents.put("c", "put", 1, expires_at=1, expires_in_ms=1)
    with refused(InvalidValue):
        await store.documents.touch("c", "put")


@checks.add(Guarantee.TIME_IS_GIVEN)
async def a_read_takes_its_own_time(store: Store, clock: ManualClock) -> None:
    at = clock.now + 100
    await store.documents.put("c", "k", 1, expires_at=at)
    for now, is_there in ((at - 1, True), (at, False)):
        expect(await store.documents.load("c", "k", now=now) is not None, is_there)
        expect(len((await store.documents.list("c", now=now)).items), int(is_there))
        expect(len((await store.documents.collections(now=now)).items), int(is_there))
        expect(await store.documents.touch("c", "k", expires_at=at, now=now), is_there)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_purge_removes_what_expired_before_a_time(store: Store, clock: ManualClock) -> None:
    for number in range(4):
        await store.documents.put(f"c{number % 2}", ("k", str(number)), number, expires_at=number)
    await store.documents.put("c0", "stays", None)
    expect(await store.documents.purge(2), 2)
    left = [each.key for each in (await store.documents.list("c0", now=0)).items]
    expect(left, [("k", "2"), ("stays",)])
    expect(await store.documents.purge(clock.now), 2)
    expect(await store.documents.purge(clock.now), 0)
    expect((await store.documents.collections(now=0)).items, ("c0",))


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE, each={"one by one": 1, "in pairs": 2})
async def a_purge_with_a_limit_removes_what_expired_first(
    store: Store, clock: ManualClock, limit: int
) -> None:
    for number, key in enumerate("dcba"):
        await store.documents.put("c1", key, 1, expires_at=number // 2)
    await store.documents.put("c0", ("z", "y"), 1, expires_at=1)
    await store.documents.put("c0", "later", 1, expires_at=clock.now + 1)
    for first in range(0, len(EXPIRED), limit):
        left = await store.documents.list_expired()
        expect([(each.collection, each.key) for each in left], EXPIRED[first:])
        purged = await store.documents.purge(LARGEST_TIME, limit=limit)
        expect(purged, min(limit, len(EXPIRED) - first))
    expect(await store.documents.purge(LARGEST_TIME, limit=limit), 0)
    expect(await store.documents.load("c0", "later", now=0) is not None, True)


@checks.add(Guarantee.ONE_ORDER)
async def each_purge_of_a_batch_takes_what_those_before_it_have_left(store: Store) -> None:
    for number in range(9):
        await store.documents.put("c", str(number), 1, expires_at=number)
    async with store.batch() as step:
        step.documents.put("c", "0", 2)
        first = step.documents.purge(9, limit=2)
        step.documents.delete("c", "3")
        second = step.documents.purge(6, limit=2)
        step.documents.put("c", "new", 1, expires_at=0)
        last = step.documents.purge(9, limit=2)
    expect((first.result, second.result, last.result), (2, 2, 2))
    left = [each.key for each in (await store.documents.list("c", now=0)).items]
    expect(left, [("0",), ("7",), ("8",)])


@checks.add(Guarantee.ONE_ORDER)
async def a_purge_takes_what_a_deleted_range_has_left(store: Store) -> None:
    for number in range(6):
        await store.documents.put("c", str(number), 1, expires_at=number)
    async with store.batch() as step:
        step.documents.delete_range("c", before="4")
        purged = step.documents.purge(9, limit=1)
    expect(purged.result, 1)
    left = [each.key for each in (await store.documents.list("c", now=0)).items]
    expect(left, [("5",)])


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def what_expired_first_is_listed_first(store: Store, clock: ManualClock) -> None:
    for number, key in enumerate("dcba"):
        await store.documents.put("c1", key, {"a": number}, expires_at=number // 2)
    await store.documents.put("c0", ("z", "y"), 4, expires_at=1)
    await store.documents.put("c0", "stays", 5)
    await store.documents.put("c0", "later", 6, expires_at=clock.now + 1)
    listed = await store.documents.list_expired()
    expect([(each.collection, each.key) for each in listed], EXPIRED)
    expect([each.value for each in listed], [None] * len(EXPIRED))
    expect(await store.documents.list_expired(limit=2), listed[:2])
    expect(await store.documents.list_expired(now=0), listed[:2])
    clock.now += 1
    listed = await store.documents.list_expired()
    expect([each.key for each in listed[len(EXPIRED) :]], [("later",)])


EXPIRED = [("c1", ("c",)), ("c1", ("d",)), ("c0", ("z", "y")), ("c1", ("a",)), ("c1", ("b",))]


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_purge_among_keys_leaves_what_was_written_again(store: Store) -> None:
    for key in ("old", "kept", "other", "later"):
        await store.documents.put("c", key, key, expires_at=9 if key == "later" else 5)
    await store.documents.put("c", "kept", "again")
    among: list[tuple[str, AnyKey]] = [
        ("c", ("old",)),
        ("c", "kept"),
        ("c", "later"),
        ("none", "k"),
        ("c", "old"),
    ]
    expect(await store.documents.purge(6, among=among), 1)
    left = [each.key for each in (await store.documents.list("c", now=0)).items]
    expect(left, [("kept",), ("later",), ("other",)])
    expect(await store.documents.purge(6, among=[]), 0)
    with refused(InvalidValue):
        await store.documents.purge(6, among=[("c", str(number)) for number in range(1_001)])
    with refused(InvalidValue):
        await store.documents.purge(6, among=[("c", ())])
    with refused(InvalidId):
        await store.documents.purge(6, among=[("", "k")])
    expect(await store.documents.purge(6), 1)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_purge_removes_nothing_that_has_not_expired(store: Store, clock: ManualClock) -> None:
    await store.documents.put("c", "old", 1, expires_at=clock.now)
    await store.documents.put("c", "live", 1, expires_at=clock.now + 1)
    expect(await store.documents.purge(LARGEST_TIME), 1)
    expect([each.key for each in (await store.documents.list("c", now=0)).items], [("live",)])


@checks.add(Guarantee.ONE_ORDER)
async def a_purge_sees_its_own_batch(store: Store) -> None:
    for key in ("old", "kept", "gone"):
        await store.documents.put("c", key, 1, expires_at=5)
    async with store.batch() as step:
        step.documents.put("c", "new", 1, expires_at=5)
        step.documents.put("c", "kept", 2)
        step.documents.delete("c", "gone")
        purged = step.documents.purge(6)
        step.documents.ensure("c", "old", 3)
    expect(purged.result, 2)
    values = [(each.key, each.value) for each in (await store.documents.list("c")).items]
    expect(values, [(("kept",), 2), (("old",), 3)])
