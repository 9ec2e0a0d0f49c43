"""Crashes: a process dies at any step of a write; what it acknowledged is there, the rest whole."""

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
from treadle.testing.exact import differences
from treadle.testing.expect import expect
from treadle.testing.outcome import outcome
from treadle.testing.subject import Subject

facet = Facet("commit")

WRITES: dict[str, Act] = {
    "a worker's step": acts.step,
    "a claim": acts.claim,
    "an append": acts.append_one,
    "a save": acts.save,
    "a thread's end": acts.delete,
    "a thread's renewal": acts.renew,
    "an interrupt": acts.interrupt,
}


@facet.check(Guarantee.ALL_OR_NOTHING, "durable", "faults", each=WRITES)
def a_process_that_dies_at_any_step_leaves_its_write_whole_or_absent(
    subject: Subject, place: Path, write: Act
) -> None:
    before, due, after = model_states(write)
    for at in acts.each_step():
        here = acts.prepared(subject, place / str(at))
        with Actor(subject, here, Fault("die", at)) as actor:
            actor.begin(write)
            result = actor.result()
        found = acts.contents(subject, here)
        if result != Dead():
            assert at > 1, "the fault hook was never called"
            expect(without_uuids(result), due)
            _assert_one_of(found, [after], "after the write")
            return
        _assert_one_of(found, [before, after], f"after a death at step {at}")


@facet.check(Guarantee.ALL_OR_NOTHING, "durable", "shared", "faults", each=WRITES)
def those_who_live_on_see_what_a_dead_process_did_whole_or_not_at_all(
    subject: Subject, place: Path, write: Act
) -> None:
    before, due, after = model_states(write)
    for at in acts.each_step():
        here = acts.prepared(subject, place / str(at))
        with Actor(subject, here) as witness:
            with Actor(subject, here, Fault("die", at)) as actor:
                actor.begin(write)
                result = actor.result()
            witness.begin(acts.look)
            found = witness.result()
        if result != Dead():
            assert at > 1, "the fault hook was never called"
            expect(without_uuids(result), due)
            _assert_one_of(found, [after], "after the write")
            return
        _assert_one_of(found, [before, after], f"after a death at step {at}")


def model_states(write: Act) -> tuple[Any, Any, Any]:
    """What the model holds before the write, what the write gives, and what it holds after it."""

    async def ask() -> tuple[Any, Any, Any]:
        async with Store(MemoryBackend(ManualClock())) as model:
            await acts.prepare(model)
            before = await acts.look(model)
            due = without_uuids(await outcome(write(model)))
            return before, due, await acts.look(model)

    return asyncio.run(ask())


def _assert_one_of(found: Any, states: list[Any], when: str) -> None:
    """Fail unless the contents are one of these; deltas may be forgotten in a crash."""
    forgotten = [key for key in found if key.startswith("deltas ") and found[key] is None]
    states = [state | dict.fromkeys(state.keys() & forgotten) for state in states]
    told = [list(differences(found, state)) for state in states]
    if all(told):
        listed = "; ".join(place for places in told for place in places[:3])
        raise AssertionError(f"{when} it is neither whole nor absent: {listed}")
