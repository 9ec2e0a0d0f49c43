"""Crashes: a process dies at any step of a write, which is kept whole or not at all."""

import asyncio
from pathlib import Path
from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.testing._harness import operations
from treadle.testing._harness.call_results import result_or_error
from treadle.testing._harness.check import Checks
from treadle.testing._harness.child_process import ChildProcess, Died, Fault, Operation
from treadle.testing._harness.dump import without_uuids
from treadle.testing._harness.expect import expect
from treadle.testing._harness.json_diff import differences
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

checks = Checks(__name__)

WRITES: dict[str, Operation] = {
    "a worker's step": operations.step,
    "a claim": operations.claim,
    "an append": operations.append_one,
    "an update": operations.update,
    "a rewrite": operations.rewrite,
    "a save": operations.save,
    "a thread's end": operations.delete,
    "a thread's renewal": operations.renew,
    "an interrupt": operations.interrupt,
}


@checks.add(Guarantee.ALL_OR_NOTHING, "durable", "faults", each=WRITES)
def a_process_that_dies_at_any_step_leaves_its_write_whole_or_absent(
    subject: Subject, folder: Path, write: Operation
) -> None:
    before, due, after = model_states(write)
    for at in operations.each_step():
        here = operations.prepared(subject, folder / str(at))
        with ChildProcess(subject, here, Fault("die", at)) as actor:
            actor.begin(write)
            result = actor.result()
        found = operations.contents(subject, here)
        if result != Died():
            assert at > 1, "the fault hook was never called"
            expect(without_uuids(result), due)
            _assert_one_of(found, [after], "after the write")
            return
        _assert_one_of(found, [before, after], f"after a death at step {at}")


@checks.add(Guarantee.ALL_OR_NOTHING, "durable", "shared", "faults", each=WRITES)
def other_processes_see_the_write_of_a_process_that_died_whole_or_absent(
    subject: Subject, folder: Path, write: Operation
) -> None:
    before, due, after = model_states(write)
    for at in operations.each_step():
        here = operations.prepared(subject, folder / str(at))
        with ChildProcess(subject, here) as witness:
            with ChildProcess(subject, here, Fault("die", at)) as actor:
                actor.begin(write)
                result = actor.result()
            witness.begin(operations.look)
            found = witness.result()
        if result != Died():
            assert at > 1, "the fault hook was never called"
            expect(without_uuids(result), due)
            _assert_one_of(found, [after], "after the write")
            return
        _assert_one_of(found, [before, after], f"after a death at step {at}")


def model_states(write: Operation) -> tuple[Any, Any, Any]:
    """Run a write on the memory backend: the contents before, the result, the contents after."""

    async def ask() -> tuple[Any, Any, Any]:
        async with Store(MemoryBackend(ManualClock())) as model:
            await operations.prepare(model)
            before = await operations.look(model)
            due = without_uuids(await result_or_error(write(model)))
            return before, due, await operations.look(model)

    return asyncio.run(ask())


def _assert_one_of(found: Any, states: list[Any], when: str) -> None:
    """Fail unless the contents are one of these; deltas may be forgotten in a crash."""
    forgotten = [key for key in found if key.startswith("deltas ") and found[key] is None]
    states = [state | dict.fromkeys(state.keys() & forgotten) for state in states]
    paths = [list(differences(found, state)) for state in states]
    if all(paths):
        listed = "; ".join(path for of_state in paths for path in of_state[:3])
        raise AssertionError(f"{when} it is neither whole nor absent: {listed}")
