"""States: patches that take too much work, or whose paths are too long, harm nothing else."""

from treadle import InvalidValue, PatchError, Store, Thread, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.core.patches import Append, Delete, Remove
from treadle.testing._harness.builders import deltas_since, head_of, said, texts, tracked
from treadle.testing._harness.check import Checks
from treadle.testing._harness.dump import read_everything
from treadle.testing._harness.expect import expect, refused

checks = Checks(__name__)

ITEMS = 20_000
REMOVALS = tracked(*(Remove(path=("list",), value=f"{n}" * 5_000) for n in range(10, 80)))
"""Each is compared with all items of a list, and together that is more than the limit."""
LONG = tuple("a" * 101)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def patches_beyond_the_limit_of_work_are_kept_and_a_snapshot_replaces_them(
    store: Store,
) -> None:
    state = {"list": list(range(ITEMS))}
    await store.threads.create(Thread(id="t", state=state))
    await store.threads.append("t", ThreadChangeSet(messages=(said("hi"),), patches=(REMOVALS,)))
    head = await head_of(store)
    expect(head.thread.patches, (REMOVALS,))
    with refused(PatchError) as caught:
        head.thread.rebuild_state()
    expect("the patches search and move too much" in str(caught.value), True)
    [note] = caught.value.__notes__
    expect("thread 't'" in note and "ThreadChangeSet(snapshot=...)" in note, True)

    expect(await texts(store, "t"), ["hi"])
    expect(len(await deltas_since(store, 0)), 1)
    await store.threads.fork("t", "kept", at=1)
    await store.threads.append("t", ThreadChangeSet(messages=(said("more"),), snapshot=state))
    expect((await head_of(store)).thread.rebuild_state(), state)
    expect(await texts(store, "t"), ["hi", "more"])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def a_path_with_more_segments_than_a_state_has_levels_is_refused(store: Store) -> None:
    await store.threads.create(Thread(id="t", state={}))
    before = await read_everything(store)
    fits, too_long = Append(path=LONG[1:], value=1), Delete(path=LONG)
    patches = (tracked(fits), tracked(fits, too_long))
    for write, where in (
        (store.threads.append("t", ThreadChangeSet(patches=patches)), "appendThread.changes"),
        (store.threads.create(Thread(id="new", patches=patches)), "createThread.thread"),
        (store.threads.ensure(Thread(id="new", patches=patches)), "ensureThread.thread"),
        (store.threads.save(Thread(id="t", patches=patches)), "saveThread.thread"),
    ):
        with refused(InvalidValue) as caught:
            await write
        expect(caught.value.where, f"{where}.patches[1].patch.ops[1].path")
    expect(await read_everything(store), before)
    await store.threads.append("t", ThreadChangeSet(patches=patches[:1]))
