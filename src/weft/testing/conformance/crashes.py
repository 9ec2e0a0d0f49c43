"""Crashes: a process dies at any step of a write; what it acknowledged is there, the rest whole."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

from weft.backends.base import Guarantee
from weft.backends.memory.backend import MemoryBackend
from weft.store.store import Store
from weft.testing.actor import Act, Actor, Dead, Fault
from weft.testing.clock import ManualClock
from weft.testing.conformance import races
from weft.testing.conformance.check import Facet
from weft.testing.conformance.races import MAILBOXES, prepare, prepared, read, without_tokens
from weft.testing.contents import read_everything
from weft.testing.exact import differences
from weft.testing.subject import Subject

facet = Facet("commit")

WRITES: dict[str, Act] = {
    "a worker's step": races.step,
    "a claim": races.claim,
    "an append": races.append_one,
    "a thread's end": races.delete,
    "an interrupt": races.interrupt,
}


@facet.check(Guarantee.ALL_OR_NOTHING, "durable", "faults", each=WRITES)
def a_process_that_dies_at_any_step_leaves_its_write_whole_or_absent(
    subject: Subject, place: Path, write: Act
) -> None:
    before, after = asyncio.run(_model_states(write))
    for at in count(1):
        here = prepared(subject, place / str(at))
        with Actor(subject, here, Fault("die", at)) as actor:
            actor.begin(write)
            result = actor.result()
        found = without_tokens(asyncio.run(read(subject, here)))
        if result != Dead():
            _assert_one_of(found, [after], at)
            assert at > 1, "the fault hook was never called"
            return
        _assert_one_of(found, [before, after], at)


@facet.check(Guarantee.ALL_OR_NOTHING, "durable", "shared", "faults", each=WRITES)
def those_who_live_on_see_what_a_dead_process_did_whole_or_not_at_all(
    subject: Subject, place: Path, write: Act
) -> None:
    before, after = asyncio.run(_model_states(write))
    for at in count(1):
        here = prepared(subject, place / str(at))
        with Actor(subject, here) as witness:
            with Actor(subject, here, Fault("die", at)) as actor:
                actor.begin(write)
                result = actor.result()
            witness.begin(_look)
            found = without_tokens(witness.result())
            _assert_one_of(found, [before, after] if result == Dead() else [after], at)
        if result != Dead():
            assert at > 1, "the fault hook was never called"
            return


async def _look(store: Store) -> Any:
    return await read_everything(store, MAILBOXES)


async def _model_states(write: Act) -> list[Any]:
    async with Store(MemoryBackend(ManualClock())) as model:
        await prepare(model)
        before = await read_everything(model, MAILBOXES)
        await write(model)
        return [without_tokens(before), without_tokens(await read_everything(model, MAILBOXES))]


def _assert_one_of(found: Any, states: list[Any], at: int) -> None:
    """Fail unless the contents are one of these; deltas may be forgotten in a crash."""
    forgotten = [key for key in found if key.startswith("deltas ") and found[key] is None]
    states = [state | dict.fromkeys(state.keys() & forgotten) for state in states]
    told = [place for state in states for place in list(differences(found, state))[:3]]
    assert found in states, f"after a death at step {at} it is neither whole nor absent: {told}"
