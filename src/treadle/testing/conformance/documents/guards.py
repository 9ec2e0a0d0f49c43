"""Guards: a write, or a whole batch, that depends on the version of a document."""

from treadle import InvalidValue, NotFound, Store, Thread, VersionConflict
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_TIME
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_write_that_expects_another_version_changes_nothing(store: Store) -> None:
    stored = await store.documents.put("c", "k", 1)
    for expected in (0, stored.version - 1, stored.version + 1, LARGEST_TIME):
        with refused(VersionConflict) as caught:
            await store.documents.put("c", "k", 2, expected=expected)
        expect((caught.value.kind, caught.value.actual), ("document", stored.version))
        with refused(VersionConflict):
            await store.documents.delete("c", "k", expected=expected)
    expect((await store.documents.put("c", "k", 2, expected=stored.version)).created, False)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def version_0_means_that_there_is_no_document(store: Store) -> None:
    expect((await store.documents.put("c", "k", 1, expected=0)).created, True)
    with refused(VersionConflict):
        await store.documents.put("c", "k", 2, expected=0)
    with refused(VersionConflict) as caught:
        await store.documents.put("c", "other", 2, expected=1)
    expect(caught.value.actual, 0)
    expect(await store.documents.delete("c", "other", expected=0), False)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_version_is_not_used_again_after_a_removal(store: Store, clock: ManualClock) -> None:
    versions: list[int] = []
    for back in (0, 0, 5, 60_000):
        clock.now -= back
        versions.append((await store.documents.put("c", "k", 1)).version)
        versions.append((await store.documents.put("c", "k", 2)).version)
        await store.documents.delete("c", "k")
    async with store.batch() as step:
        stored = [step.documents.put("c", "k", number) for number in range(2)]
        step.documents.delete_range("c")
        stored.append(step.documents.create("c", "k", 3))
    versions += [each.result.version for each in stored]
    expect(versions, sorted(set(versions)))


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE, "durable")
async def a_version_is_not_used_again_after_a_restart(store: Store, clock: ManualClock) -> None:
    first = await store.documents.put("c", "k", 1)
    await store.documents.delete("c", "k")
    await store.close()
    clock.now += 1
    await store.open()
    assert (await store.documents.put("c", "k", 1)).version > first.version


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_check_guards_a_batch(store: Store) -> None:
    stored = await store.documents.put("c", "k", 1)
    for expected in (None, stored.version):
        async with store.batch() as step:
            step.documents.check("c", "k", expected=expected)
            step.documents.put("d", "k", 1)
    for expected in (0, stored.version + 1):
        with refused(VersionConflict):
            async with store.batch() as step:
                step.threads.create(Thread(id="t"))
                step.documents.check("c", "k", expected=expected)
    expect(await store.threads.load("t"), None)


@checks.add(Guarantee.DOCUMENTS_CHANGE_BY_RULE)
async def a_check_of_a_missing_document_guards_a_batch(store: Store) -> None:
    async with store.batch() as step:
        step.documents.check("c", "k", expected=0)
        step.documents.put("d", "k", 1)
    expect(await store.documents.load("c", "k"), None)
    with refused(NotFound):
        async with store.batch() as step:
            step.documents.put("d", "k", 2)
            step.documents.check("c", "k")
    document = await store.documents.load("d", "k")
    assert document is not None
    expect(document.value, 1)


@checks.add(Guarantee.ONE_ORDER)
async def a_check_sees_what_its_batch_has_done(store: Store) -> None:
    async with store.batch() as step:
        step.documents.check("c", "k", expected=0)
        step.documents.put("c", "k", 1)
        step.documents.check("c", "k")
        step.documents.delete("c", "k")
        step.documents.check("c", "k", expected=0)
        step.documents.ensure("c", "k", 2)
    document = await store.documents.load("c", "k")
    assert document is not None
    expect(document.value, 2)


@checks.add(Guarantee.ONE_ORDER)
async def the_key_that_all_documents_share_is_not_taken_for_a_prefix(store: Store) -> None:
    with refused(InvalidValue):
        await store.documents.list("c", after=())
