"""Races: two processes on one store end as if one had come after the other.

The memory backend gives the two possible ends, one for each order of the two operations. They race
at full speed, and with one of them paused at each step of its commit.
"""

import asyncio
from pathlib import Path
from typing import Any

from treadle import Store
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.testing._harness import operations
from treadle.testing._harness.call_results import result_or_error
from treadle.testing._harness.check import Checks
from treadle.testing._harness.child_process import PAUSED, ChildProcess, Died, Fault, Operation
from treadle.testing._harness.dump import without_uuids
from treadle.testing._harness.json_diff import differences, same
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

checks = Checks(__name__)

ROUNDS = 3
"""How often each race is run at full speed; a soak runs it more often."""

RACES: dict[str, tuple[Operation, Operation]] = {
    "enqueue against claim": (operations.enqueue_urgent, operations.claim),
    "claim against claim": (operations.claim, operations.claim),
    "claim against claim by id": (operations.claim, operations.claim_next),
    "ack against interrupt": (operations.ack, operations.interrupt),
    "ack against a claim after the lease": (operations.ack, operations.claim_later),
    "nack against claim": (operations.nack, operations.claim),
    "extension against a claim after the lease": (operations.extend, operations.claim_later),
    "take against take": (operations.take, operations.take),
    "take against interrupt": (operations.take, operations.interrupt),
    "take against cancel": (operations.take, operations.cancel_next),
    "take against send": (operations.take, operations.send_to_box),
    "take against a claim after the lease": (operations.take, operations.claim_later),
    "claim against cancel": (operations.claim, operations.cancel),
    "append against append": (operations.append_one, operations.append_other),
    "append against delete": (operations.append_one, operations.delete),
    "a worker's step against interrupt": (operations.step, operations.interrupt),
    "a worker's step against a claim after the lease": (operations.step, operations.claim_later),
    "append against update": (operations.append_one, operations.update),
    "append against save": (operations.append_one, operations.save),
    "two interrupts of one generation": (operations.interrupt_once, operations.interrupt_once),
    "two first interrupts": (operations.interrupt_first, operations.interrupt_first),
    "send against interrupt": (operations.send_to_box, operations.interrupt),
    "enqueue against interrupt": (operations.enqueue_in_box, operations.interrupt),
    "two purges of documents": (operations.purge_documents, operations.purge_documents),
    "a purge of documents against a put": (operations.purge_documents, operations.put_expired),
    "two sends of one dedupe key": (operations.send_once, operations.send_again),
}
TURNED: dict[str, tuple[Operation, Operation]] = {
    "claim against enqueue": (operations.claim, operations.enqueue_urgent),
    "interrupt against ack": (operations.interrupt, operations.ack),
    "update against append": (operations.update, operations.append_one),
    "cancel against claim": (operations.cancel, operations.claim),
    "interrupt against a worker's step": (operations.interrupt, operations.step),
    "interrupt against send": (operations.interrupt, operations.send_to_box),
}
"""The same, with the other one paused; at full speed there is no difference."""


@checks.add(Guarantee.ONE_ORDER, "shared", each=RACES)
def two_processes_at_full_speed_act_one_after_the_other(
    subject: Subject, folder: Path, one: Operation, other: Operation
) -> None:
    possible = possible_ends(one, other)
    for number in range(ROUNDS):
        here = operations.prepared(subject, folder / str(number))
        with ChildProcess(subject, here) as first, ChildProcess(subject, here) as second:
            first.begin(one)
            second.begin(other)
            results = [first.result(), second.result()]
            assert_possible(results, operations.contents(subject, here), possible)


@checks.add(Guarantee.ONE_ORDER, "shared", "faults", each=RACES | TURNED)
def a_write_paused_at_any_step_comes_before_or_after_the_other(
    subject: Subject, folder: Path, one: Operation, other: Operation
) -> None:
    possible = possible_ends(one, other)
    for at in operations.each_step():
        here = operations.prepared(subject, folder / str(at))
        with (
            ChildProcess(subject, here, Fault("pause", at)) as first,
            ChildProcess(subject, here) as second,
        ):
            first.begin(one)
            if first.result() != PAUSED:
                assert at > 1, "the fault hook was never called"
                return
            second.begin(other)
            second.await_answer_or_block()
            first.resume()
            results = [first.result(), second.result()]
            assert_possible(results, operations.contents(subject, here), possible)


def possible_ends(one: Operation, other: Operation) -> list[Any]:
    """Run the two on the memory backend, in both orders: the results and the contents."""

    async def ask() -> list[Any]:
        first = await _in_order([one, other])
        second, first_result, contents = await _in_order([other, one])
        return [first, [first_result, second, contents]]

    return asyncio.run(ask())


async def _in_order(in_turn: list[Operation]) -> list[Any]:
    async with Store(MemoryBackend(ManualClock())) as model:
        await operations.prepare(model)
        results = [without_uuids(await result_or_error(act(model))) for act in in_turn]
        return [*results, await operations.look(model)]


def assert_possible(results: list[Any], contents: Any, possible: list[Any]) -> None:
    """Fail unless one order explains the results and the contents."""
    assert Died() not in results, "another process died"
    found = [*without_uuids(results), contents]
    if not any(same(found, end) for end in possible):
        raise AssertionError(f"no order explains: {_describe(found, possible)}")


def _describe(found: list[Any], possible: list[Any]) -> str:
    lines = [f"the results {found[:2]!r}"]
    for end in possible:
        lines += list(differences(found, end))[:3]
    return "; ".join(lines)
