"""Guards: writes that take effect only if a thread is still at the version that is expected."""

from collections.abc import Awaitable, Callable
from typing import Any

from treadle import Committed, NotFound, Store, Thread, VersionConflict
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import head_of, says, texts
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused

checks = Checks(__name__)

Guarded = Callable[[Store, int], Awaitable[Any]]
GUARDED: dict[str, Guarded] = {
    "append": lambda store, version: store.threads.append("t", says("new"), expected=version),
    "save": lambda store, version: store.threads.save(
        Thread(id="t", state="new"), expected=version
    ),
    "truncate": lambda store, version: store.threads.truncate("t", keep=0, expected=version),
    "check": lambda store, version: store.threads.check("t", expected=version),
    "delete": lambda store, version: store.threads.delete("t", expected=version),
}


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS, each=GUARDED)
async def a_guarded_write_at_another_version_is_a_conflict_and_changes_nothing(
    store: Store, guarded: Guarded
) -> None:
    await store.threads.create(Thread(id="t", state="old"))
    await store.threads.append("t", says("x"))
    before = await head_of(store)
    for version in (0, 2):
        with refused(VersionConflict) as caught:
            await guarded(store, version)
        expect((caught.value.key, caught.value.expected, caught.value.actual), ("t", version, 1))
    expect(await head_of(store), before)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS, each=GUARDED)
async def a_guarded_write_to_a_missing_thread_is_not_found_and_creates_nothing(
    store: Store, guarded: Guarded
) -> None:
    with refused(NotFound) as caught:
        await guarded(store, 0)
    expect((caught.value.kind, caught.value.key), ("thread", "t"))
    expect(await store.threads.load("t"), None)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def guarded_writes_at_the_right_version_take_effect(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    saved = await store.threads.save(Thread(id="t", state=1), expected=0)
    expect(saved, Committed(version=1))
    expect(await store.threads.check("t", expected=1), Committed(version=1))
    expect((await head_of(store)).thread.state, 1)
    expect(await store.threads.delete("t", expected=1), True)
    expect(await store.threads.load("t"), None)


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_check_that_fails_keeps_its_batch_from_taking_effect(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.create(Thread(id="u"))
    with refused(VersionConflict):
        async with store.batch() as step:
            step.threads.append("u", says("x"))
            step.threads.check("t", expected=1)
    expect(await texts(store, "u"), [])
    async with store.batch() as step:
        step.threads.check("t", expected=0)
        step.threads.append("u", says("x"))
    expect(await texts(store, "u"), ["x"])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_check_compares_with_what_its_batch_has_done_before(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        step.threads.append("t", says("x"))
        checked = step.threads.check("t", expected=1)
    expect(checked.result, Committed(version=1))
