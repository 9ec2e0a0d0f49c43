"""Races: two processes at the same store end as if one had come after the other.

What may come of a race is asked of the model: each order of the two acts gives one outcome. The
acts meet at full speed, and with one of them held at each step that its commit takes.
"""

import asyncio
from pathlib import Path
from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.testing.actor import Act, Actor, Dead, Fault
from treadle.testing.clock import ManualClock
from treadle.testing.conformance import acts
from treadle.testing.conformance.check import Facet
from treadle.testing.contents import without_uuids
from treadle.testing.exact import differences, same
from treadle.testing.outcome import outcome
from treadle.testing.subject import Subject

facet = Facet("concurrency")

ROUNDS = 5
"""How often each race is run at full speed."""

RACES: dict[str, tuple[Act, Act]] = {
    "enqueue against claim": (acts.enqueue_urgent, acts.claim),
    "claim against claim": (acts.claim, acts.claim),
    "claim against claim by id": (acts.claim, acts.claim_next),
    "ack against interrupt": (acts.ack, acts.interrupt),
    "ack against a claim after the lease": (acts.ack, acts.claim_later),
    "nack against claim": (acts.nack, acts.claim),
    "extension against a claim after the lease": (acts.extend, acts.claim_later),
    "claim against cancel": (acts.claim, acts.cancel),
    "append against append": (acts.append_one, acts.append_other),
    "append against delete": (acts.append_one, acts.delete),
    "a worker's step against interrupt": (acts.step, acts.interrupt),
    "a worker's step against a claim after the lease": (acts.step, acts.claim_later),
    "append against save": (acts.append_one, acts.save),
    "send against interrupt": (acts.send_to_box, acts.interrupt),
    "enqueue against interrupt": (acts.enqueue_in_box, acts.interrupt),
    "two sends of one dedupe key": (acts.send_once, acts.send_again),
}
TURNED: dict[str, tuple[Act, Act]] = {
    "claim against enqueue": (acts.claim, acts.enqueue_urgent),
    "interrupt against ack": (acts.interrupt, acts.ack),
    "cancel against claim": (acts.cancel, acts.claim),
    "interrupt against a worker's step": (acts.interrupt, acts.step),
    "interrupt against send": (acts.interrupt, acts.send_to_box),
}
"""The same with the other of the two held; at full speed it makes no difference."""


@facet.check(Guarantee.ONE_ORDER, "shared", each=RACES)
def two_processes_at_full_speed_end_as_one_after_the_other(
    subject: Subject, place: Path, one: Act, other: Act
) -> None:
    possible = possible_ends(one, other)
    for number in range(ROUNDS):
        here = acts.prepared(subject, place / str(number))
        with Actor(subject, here) as first, Actor(subject, here) as second:
            first.begin(one)
            second.begin(other)
            results = [first.result(), second.result()]
        assert_possible(results, acts.contents(subject, here), possible)


@facet.check(Guarantee.ONE_ORDER, "shared", "faults", each=RACES | TURNED)
def a_write_held_at_any_step_ends_as_one_before_or_after_the_other(
    subject: Subject, place: Path, one: Act, other: Act
) -> None:
    possible = possible_ends(one, other)
    for at in acts.each_step():
        here = acts.prepared(subject, place / str(at))
        with (
            Actor(subject, here, Fault("stand", at)) as first,
            Actor(subject, here) as second,
        ):
            first.begin(one)
            if first.result() != "standing":
                assert at > 1, "the fault hook was never called"
                return
            second.begin(other)
            second.settle()
            first.go_on()
            results = [first.result(), second.result()]
        assert_possible(results, acts.contents(subject, here), possible)


def possible_ends(one: Act, other: Act) -> list[Any]:
    """What comes of the two on the model, in either order: both results, and the contents."""

    async def ask() -> list[Any]:
        first = await _in_order([one, other])
        second, first_result, contents = await _in_order([other, one])
        return [first, [first_result, second, contents]]

    return asyncio.run(ask())


async def _in_order(in_turn: list[Act]) -> list[Any]:
    async with Store(MemoryBackend(ManualClock())) as model:
        await acts.prepare(model)
        results = [without_uuids(await outcome(act(model))) for act in in_turn]
        return [*results, await acts.look(model)]


def assert_possible(results: list[Any], contents: Any, possible: list[Any]) -> None:
    """Fail unless one order explains the results and the contents."""
    assert Dead() not in results, "another process died"
    found = [*without_uuids(results), contents]
    if not any(same(found, end) for end in possible):
        raise AssertionError(f"no order explains: {_told(found, possible)}")


def _told(found: list[Any], possible: list[Any]) -> str:
    told = [f"the results {found[:2]!r}"]
    for end in possible:
        told += list(differences(found, end))[:3]
    return "; ".join(told)
