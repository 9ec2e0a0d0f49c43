"""The active run of a thread."""

from treadle import RunMeta, Store, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import run, says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)


async def active_id(store: Store, thread_id: str = "t") -> str | None:
    active = await store.runs.find_active(thread_id)
    return None if active is None else active.run_id


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def the_active_run_is_the_newest_that_is_not_done(store: Store) -> None:
    expect(await store.runs.find_active("t"), None)
    await store.runs.upsert(run("a", created_at=10))
    await store.runs.upsert(run("b", created_at=20, status="waiting"))
    await store.runs.upsert(run("c", created_at=30, status="done"))
    await store.runs.upsert(run("d", "u", created_at=40))
    expect(await active_id(store), "b")


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def the_later_update_decides_between_active_runs_that_began_at_one_time(
    store: Store,
) -> None:
    for key, updated_at in (("a", 20), ("b", 30), ("c", 20)):
        await store.runs.upsert(run(key, created_at=10, updated_at=updated_at))
    expect(await active_id(store), "b")
    await store.runs.upsert(run("earlier", created_at=9, updated_at=99))
    expect(await active_id(store), "b")


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def the_greater_id_decides_between_active_runs_of_the_same_times(store: Store) -> None:
    for key in "bca":
        await store.runs.upsert(run(key, created_at=10))
    expect(await active_id(store), "c")


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_is_done_is_no_longer_active(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says("x", run_id="r", run_meta=RunMeta()))
    expect(await store.runs.find_active("t"), await store.runs.load("r"))
    await store.threads.append("t", says("y", run_id="r", run_meta=RunMeta(status="done")))
    expect(await store.runs.find_active("t"), None)


@checks.add(Guarantee.RUNS_FOLLOW_THEIR_THREADS)
async def a_run_that_is_moved_to_another_thread_is_active_there(store: Store) -> None:
    await store.runs.upsert(run("old", "t", created_at=1))
    await store.runs.upsert(run("r", "t", created_at=2))
    await store.runs.upsert(run("r", "u", created_at=2))
    expect((await active_id(store, "t"), await active_id(store, "u")), ("old", "r"))
    await store.runs.delete("r")
    expect(await active_id(store, "u"), None)
