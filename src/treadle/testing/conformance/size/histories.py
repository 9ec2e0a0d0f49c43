"""Long threads: hundreds of versions and more than a thousand messages are all there."""

from treadle import Store, Thread, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import deltas_since, head_of, said, says, sets
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)

VERSIONS = 600
AROUND = (0, 1, 99, 100, 127, 128, 199, 200, 255, 256, 257, 511, 512, 598, 599, 600)
"""Versions at the ends of what is often a limit: of a byte, a page or a hundred."""
MESSAGES = 1_030


async def append_versions(store: Store) -> None:
    """Create the thread `t` and raise its version to `VERSIONS`."""
    await store.threads.create(Thread(id="t"))
    for start in range(0, VERSIONS, 100):
        async with store.batch() as step:
            for number in range(start, start + 100):
                changes = ThreadChangeSet(
                    messages=(said(str(number), f"m{number}"),),
                    patches=(sets(str(number), number),),
                )
                step.threads.append("t", changes)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def the_deltas_of_hundreds_of_versions_are_all_known(store: Store) -> None:
    await append_versions(store)
    for after in AROUND:
        deltas = await deltas_since(store, after)
        expect([each.version for each in deltas], list(range(after + 1, VERSIONS + 1)))
        said_since = [each.changes.messages[0].content for each in deltas]
        expect(said_since, [str(number) for number in range(after, VERSIONS)])


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def hundreds_of_patches_are_all_kept(store: Store) -> None:
    await append_versions(store)
    head = await head_of(store)
    expect((head.version, len(head.thread.patches)), (VERSIONS, VERSIONS))
    expect(head.thread.rebuild_state(), {str(number): number for number in range(VERSIONS)})


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def every_message_id_of_a_long_thread_is_known(store: Store) -> None:
    await append_versions(store)
    again = [f"m{number}" for number in AROUND if number < VERSIONS]
    committed = await store.threads.append(
        "t", *(said("again", message_id) for message_id in again), said("new", "new")
    )
    expect(committed.skipped, tuple(again))
    expect(await store.threads.message_count("t"), VERSIONS + 1)


@checks.add(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED)
async def the_pages_of_a_long_thread_hold_each_message_once(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", says(*(str(number) for number in range(MESSAGES))))
    found, cursor = [], None
    while True:
        page = await store.threads.list_messages("t", after=cursor, limit=200)
        found += [each.message.content for each in page.messages]
        if not page.has_more:
            break
        cursor = page.messages[-1].cursor
    expect(found, [str(number) for number in range(MESSAGES)])
    expect(await store.threads.message_count("t"), MESSAGES)
    last = await store.threads.list_messages("t", after=MESSAGES - 2)
    expect([each.message.content for each in last.messages], [str(MESSAGES - 1)])


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def the_version_of_a_long_thread_is_still_guarded(store: Store) -> None:
    await append_versions(store)
    head = await store.threads.append("t", says("x"), expected=VERSIONS)
    expect(head.version, VERSIONS + 1)
    await store.threads.save(Thread(id="t"))
    expect((await head_of(store)).version, VERSIONS + 2)
