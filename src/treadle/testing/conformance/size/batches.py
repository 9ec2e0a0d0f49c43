"""Large batches: hundreds of commands are one step as two are."""

from treadle import ClaimConflict, NotFound, Store, Thread
from treadle.backends.base import Guarantee
from treadle.testing._harness.builders import (
    claim_one,
    deltas_since,
    enqueue,
    entry,
    head_of,
    loaded,
    results_of,
    said,
    texts,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused

checks = Checks(__name__)

COMMANDS = 1_030
"""More than a thousand, and no multiple of a power of ten or two."""


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_batch_of_a_thousand_sends_is_applied_whole(store: Store) -> None:
    async with store.batch() as step:
        for number in range(COMMANDS):
            step.mailboxes.send(f"box {number % 7}", number)
    sent = [each.entry for each in results_of(step)]
    expect([each.payload for each in sent], list(range(COMMANDS)))
    expect((await store.mailboxes.count_entries()).queued, COMMANDS)
    for number in (0, 255, 256, 999, 1_000, COMMANDS - 1):
        expect((await loaded(store, sent[number].entry_id)).payload, number)


@checks.add(Guarantee.ALL_OR_NOTHING)
async def the_last_of_a_thousand_commands_takes_back_all(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    with refused(NotFound) as caught:
        async with store.batch() as step:
            for number in range(COMMANDS // 2):
                step.threads.append("t", said(str(number)))
                step.mailboxes.send("box", number)
            step.threads.append("missing", said("x"))
    expect(
        caught.value.command, f"command {COMMANDS + 1} of {COMMANDS + 1}: AppendThread 'missing'"
    )
    expect((await head_of(store)).version, 0)
    expect((await store.mailboxes.count_entries()).queued, 0)


@checks.add(Guarantee.FENCE)
async def a_hold_at_the_end_of_a_large_batch_guards_all_of_it(store: Store) -> None:
    await enqueue(store, entry("e"))
    lost = await claim_one(store)
    await store.mailboxes.interrupt("box")
    with refused(ClaimConflict):
        async with store.batch() as step:
            for number in range(COMMANDS):
                step.mailboxes.send("other", number)
            step.mailboxes.hold(lost)
    expect((await store.mailboxes.count_entries("other")).queued, 0)


@checks.add(Guarantee.VERSIONS_WITHOUT_GAPS)
async def hundreds_of_appends_to_one_thread_in_a_batch_keep_their_order(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        for number in range(300):
            step.threads.append("t", said(str(number)), expected=number)
    expect([each.version for each in results_of(step)], list(range(1, 301)))
    expect(await texts(store, "t"), [str(number) for number in range(300)])
    expect([each.version for each in await deltas_since(store, 298)], [299, 300])


@checks.add(Guarantee.ALL_OR_NOTHING)
async def a_batch_creates_and_deletes_hundreds_of_threads(store: Store) -> None:
    async with store.batch() as step:
        for number in range(300):
            step.threads.create(Thread(id=f"t{number}"))
    async with store.batch() as step:
        for number in range(300):
            step.threads.delete(f"t{number}")
        step.threads.create(Thread(id="t299"))
    expect(results_of(step)[:300], (True,) * 300)
    expect((await store.threads.list()).items, ("t299",))
