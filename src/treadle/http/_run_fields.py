"""What bodies about runs have in common, in tirea's names."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from treadle.core.codec import Json, Model
from treadle.errors import InvalidValue
from treadle.http._input import Fields
from treadle.worker import Answer


class RunFields(Fields, frozen=True, kw_only=True):
    """A body about a run: blanks around an id do not count, and an id of blanks is none."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name.endswith("_id") and isinstance(value, str):
                is_optional = name != "agent_id"
                msgspec.structs.force_setattr(
                    self, name, value.strip() or (None if is_optional else "")
                )


class Decision(Model, frozen=True, kw_only=True):
    """What a person has decided about something that a run waits for."""

    target_id: str
    """What it is about: the id of the interrupt."""
    decision_id: str | None = None
    """The same for the same decision: it is forwarded once."""
    action: Literal["resume", "cancel"]
    result: Json = None
    reason: str | None = None
    updated_at: int | None = None


def answers_of(decisions: Iterable[Decision]) -> tuple[Answer, ...]:
    """Return decisions as the answers that a worker gets."""
    return tuple(map(_answer_of, decisions))


def _answer_of(decision: Decision) -> Answer:
    status = "resolved" if decision.action == "resume" else "cancelled"
    return Answer(interrupt_id=decision.target_id, status=status, payload=decision.result)


def require_agent(agent_id: str | None) -> str:
    """Return the agent that a run needs.

    Raises:
        InvalidValue: it is missing, or blank.
    """
    if not agent_id:
        raise InvalidValue("body.agentId", "it is needed for a run, and not blank")
    return agent_id
