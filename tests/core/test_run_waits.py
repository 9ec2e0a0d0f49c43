"""What a run asks is read in one way, even where an agent has written it by itself."""

from typing import Any

import pytest

from treadle.core.run_requests import Interrupt
from treadle.core.run_waits import asked_ids
from treadle.core.runs import RunRecord


@pytest.mark.parametrize(
    ("interrupts", "ids"),
    [
        ([{"id": "a", "message": "Really?"}, {"id": "b"}], ["a", "b"]),
        ([{"id": 1}, {"id": "a"}, "b", {}], ["a"]),
        ([{"id": "a", "message": 5, "reason": None}], ["a"]),
        ({"id": "a"}, []),
        (None, []),
    ],
)
def test_a_run_is_answered_by_the_ids_of_the_interrupts_that_are_shown(
    interrupts: Any, ids: list[str]
) -> None:
    run = RunRecord(run_id="r", thread_id="t", metadata={"interrupts": interrupts})
    assert [each.id for each in Interrupt.asked_by(run)] == ids
    assert list(asked_ids(run)) == (ids or ["r"])


def test_a_broken_interrupt_keeps_its_id_alone() -> None:
    broken = {"id": "a", "message": "Really?", "toolCallId": 5}
    run = RunRecord(run_id="r", thread_id="t", metadata={"interrupts": [broken]})
    assert Interrupt.asked_by(run) == (Interrupt(id="a"),)
