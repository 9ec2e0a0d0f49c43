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


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("Really?", "Really?"),
        ({"tool": "pay", "amount": 40}, '{"tool":"pay","amount":40}'),
        (["\u202e"], '["\u202e"]'),
        (False, "false"),
        (None, None),
    ],
)
def test_the_question_of_an_interrupt_is_shown_whatever_it_is(
    question: Any, shown: str | None
) -> None:
    for others, kept in (({"reason": "tool_call"}, "tool_call"), ({"toolCallId": 5}, None)):
        metadata = {"interrupts": [{"id": "a", "message": question, **others}]}
        run = RunRecord(run_id="r", thread_id="t", metadata=metadata)
        expected = Interrupt(id="a", message=shown, reason=kept or "input_required")
        assert Interrupt.asked_by(run) == (expected,)
