"""Usage: the tokens of runs, summed exactly."""

from typing import Any

from treadle import Store, Thread, Usage, UsageKey
from treadle.backends.base import Guarantee
from treadle.core.commands import AnyCommand
from treadle.core.limits import LARGEST_INTEGER, LARGEST_TIME
from treadle.core.restoring import RestoreRun
from treadle.testing._harness.builders import run
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)

DAY_MS = 24 * 60 * 60 * 1000


async def _fill(store: Store) -> None:
    async with store.batch() as step:
        step.threads.create(Thread(id="t", resource_id="x"))
        step.threads.create(Thread(id="u", resource_id="x"))
        step.threads.create(Thread(id="v"))
        restored: list[AnyCommand] = []
        for key, thread, agent, at, tokens in (
            ("a", "t", "one", 0, (1, 2)),
            ("b", "t", "two", DAY_MS - 1, (10, 20)),
            ("c", "u", "one", DAY_MS, (100, 200)),
            ("d", "v", "", 20_000 * DAY_MS, (1_000, 2_000)),
            ("e", "gone", "one", LARGEST_TIME, (0, 0)),
        ):
            used = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
            each = run(key, thread, agent_id=agent, created_at=at, **used)
            restored.append(RestoreRun(run=each))
    await store.commit(tuple(restored))


def _usage(key: str | None, runs: int, tokens: int) -> Usage:
    return Usage(key=key, runs=runs, input_tokens=tokens, output_tokens=2 * tokens)


USAGE: dict[str, tuple[UsageKey, dict[str, Any], list[Usage]]] = {
    "by thread": (
        "thread",
        {},
        [_usage("v", 1, 1_000), _usage("u", 1, 100), _usage("t", 2, 11), _usage("gone", 1, 0)],
    ),
    "by owner": ("owner", {}, [_usage(None, 2, 1_000), _usage("x", 3, 111)]),
    "by agent": (
        "agent",
        {},
        [_usage("", 1, 1_000), _usage("one", 3, 101), _usage("two", 1, 10)],
    ),
    "by day": (
        "day",
        {},
        [
            _usage("1970-01-01", 2, 11),
            _usage("1970-01-02", 1, 100),
            _usage("2024-10-04", 1, 1_000),
            _usage("9999-12-31", 1, 0),
        ],
    ),
    "since, inclusive": ("agent", {"since": DAY_MS, "agent_id": "one"}, [_usage("one", 2, 100)]),
    "until, exclusive": ("day", {"until": DAY_MS}, [_usage("1970-01-01", 2, 11)]),
    "of no time": ("day", {"since": 5, "until": 5}, []),
    "of a thread": ("agent", {"thread_id": "t"}, [_usage("two", 1, 10), _usage("one", 1, 1)]),
    "of an owner": ("thread", {"resource_id": "x"}, [_usage("u", 1, 100), _usage("t", 2, 11)]),
    "of an agent": ("owner", {"agent_id": "one"}, [_usage("x", 2, 101), _usage(None, 1, 0)]),
    "of nobody": ("owner", {"resource_id": "z"}, []),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=USAGE)
async def usage_is_summed(
    store: Store, by: UsageKey, filters: dict[str, Any], expected: list[Usage]
) -> None:
    await _fill(store)
    report = await store.runs.usage(by=by, **filters)
    expect(list(report.items), expected)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def usage_is_exact_beyond_64_bits(store: Store) -> None:
    for number in range(3):
        await store.runs.upsert(
            run(f"r{number}", input_tokens=LARGEST_INTEGER, output_tokens=2**53 + number)
        )
    [found] = (await store.runs.usage(by="thread")).items
    sums = (found.input_tokens, found.output_tokens)
    expect(sums, (3 * LARGEST_INTEGER, 3 * 2**53 + 3))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def usage_counts_every_run_once_however_many_there_are(store: Store) -> None:
    for part in range(3):
        async with store.batch() as step:
            for number in range(700):
                step.runs.upsert(
                    run(f"{part} {number}", created_at=1 + number // 50, input_tokens=1)
                )
    [found] = (await store.runs.usage(by="day")).items
    expect((found.runs, found.input_tokens), (2_100, 2_100))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def the_newest_runs_are_looked_at_for_their_tokens(store: Store) -> None:
    await _fill(store)
    two = await store.runs.usage(by="thread", limit=2)
    expect((two.items, two.more), ((_usage("v", 1, 1_000), _usage("gone", 1, 0)), True))
    of_one = await store.runs.usage(by="thread", agent_id="one", limit=3)
    expect((of_one.items, of_one.more), ((_usage("u", 1, 100), _usage("gone", 1, 0)), True))
    of_x = await store.runs.usage(by="thread", resource_id="x", until=DAY_MS, limit=9)
    expect((of_x.items, of_x.more), ((_usage("t", 2, 11),), False))
