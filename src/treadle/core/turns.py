"""Turns: which messages of a thread belong to a run, and what a model reads of them.

Users write while an agent works, so the messages of several runs are mixed in a thread, and the
result of a call that had to wait comes long after it. Models want each turn in one piece, and each
result right after its call.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from treadle.core.messages import Message, ToolCall
from treadle.core.runs import RunRecord

NO_RESULT = "There is no result yet."
"""What a model reads as the result of a call that has none."""

MERGED = "merged"
"""The termination code of a run that became a part of another one, which its metadata names."""


class _Place(NamedTuple):
    """Where a tool call is: the position of its message, and its number there."""

    position: int
    number: int


def run_of(message: Message) -> str | None:
    """Return the run that a message comes from; None if it does not say."""
    return message.metadata.run_id if message.metadata else None


def messages_of(run_id: str, messages: Iterable[Message]) -> list[Message]:
    """Return the messages of a run, in their order."""
    return [message for message in messages if run_of(message) == run_id]


def open_calls(messages: Sequence[Message]) -> list[ToolCall]:
    """Return the tool calls that have no result yet, in their order.

    A result answers the newest open call with its id, wherever it stands: some providers begin
    again with `call_0` in each message.
    """
    results = _results_of(messages)
    return [
        call
        for position, message in enumerate(messages)
        for number, call in enumerate(message.tool_calls or ())
        if _Place(position, number) not in results.of_calls
    ]


def up_to(run_id: str, messages: Sequence[Message], *, no_result: str = NO_RESULT) -> list[Message]:
    """Return what a model reads to go on with a run: the turns up to that one.

    Each run is in one piece, in the order in which they were requested, and this one is the last.
    A later run that is not answered yet is left out: it gets a turn of its own. Messages without a
    run stand by themselves.

    Each result follows its call. A call of an earlier run that has none gets one that is not
    stored, as models refuse it otherwise. If a call has several results, such as a placeholder and
    the result that came later, the last one counts.

    Args:
        run_id: the run; if no message belongs to it, it comes after all of them.
        messages: those of the thread, in their order.
        no_result: the text of results that are missing.
    """
    return history_of(run_id, messages, no_result=no_result)


def history_of(
    run_id: str,
    messages: Sequence[Message],
    *,
    asked: Collection[str | None] = (),
    behind: str | None = None,
    merged: Mapping[str, str] | None = None,
    no_result: str = NO_RESULT,
) -> list[Message]:
    """Return what `up_to` does, with what else is known about runs.

    Args:
        run_id: the run.
        messages: those of the thread, in their order.
        asked: ids of messages that belong to the run, whatever they say.
        behind: the id of the message after which it was requested, if no message came with it.
        merged: runs, and those that they became a part of.
        no_result: the text of results that are missing.
    """
    results = _results_of(messages)
    names = [
        run_id if message.id is not None and message.id in asked else run_of(message)
        for message in messages
    ]
    anchor = _anchor(run_id, names, messages, behind)
    inside = {part: whole for part, whole in (merged or {}).items() if part != run_id}
    is_again = _is_asked_again(run_id, messages, asked, merged or {})
    parts: dict[str | int, list[int]] = {}
    for position, name in enumerate(names):
        if position not in results.positions:
            key = position if name is None else _whole_of(name, inside)
            parts.setdefault(key, []).append(position)
    own = parts.pop(run_id, [])
    earlier = [
        position
        for part in parts.values()
        if part[0] < anchor or _is_answered(part, messages, is_again)
        for position in part
    ]
    return [
        *_with_results(earlier, messages, results.of_calls, no_result),
        *_with_results(own, messages, results.of_calls),
    ]


def _is_answered(part: Sequence[int], messages: Sequence[Message], is_again: bool) -> bool:
    """Return whether a run that was requested later is answered already.

    If the run asks something again, what begins with an answer may be another one to that.
    """
    if is_again and messages[part[0]].role == "assistant":
        return False
    return any(messages[position].role == "assistant" for position in part)


def _is_asked_again(
    run_id: str,
    messages: Sequence[Message],
    asked: Collection[str | None],
    merged: Mapping[str, str],
) -> bool:
    """Return whether the last question of a run was that of another one before."""
    for message in reversed(messages):
        if message.role == "user" and message.id is not None and message.id in asked:
            name = run_of(message)
            return name is not None and _whole_of(name, merged) != run_id
    return False


def call_of(
    run_id: str, call_id: str, messages: Sequence[Message]
) -> tuple[ToolCall, Message | None] | None:
    """Return the newest tool call of a run with this id, and its result; None if there is none."""
    results = _results_of(messages)
    for position in range(len(messages) - 1, -1, -1):
        if run_of(messages[position]) != run_id:
            continue
        for number, call in enumerate(messages[position].tool_calls or ()):
            if call.id == call_id:
                result = results.of_calls.get(_Place(position, number))
                return call, None if result is None else messages[result]
    return None


def merged(run: RunRecord, whole: str) -> RunRecord:
    """Return the record of a run that became a part of another one."""
    return msgspec.structs.replace(
        run,
        status="done",
        termination_code=MERGED,
        termination_detail=f"it became a part of run {whole}",
        metadata={"merged_into": whole},
        has_answer=False,
    )


def whole_of(run: RunRecord) -> str | None:
    """Return the run that a run became a part of; None if it did not."""
    if run.termination_code != MERGED or not isinstance(run.metadata, dict):
        return None
    whole = run.metadata.get("merged_into")
    return whole if isinstance(whole, str) else None


def _anchor(
    run_id: str, names: Sequence[str | None], messages: Sequence[Message], behind: str | None
) -> int:
    """The position from which messages came after the run was requested."""
    if behind is not None:
        for position in range(len(messages) - 1, -1, -1):
            if messages[position].id == behind:
                return position + 1
    return names.index(run_id) if run_id in names else len(names)


def _whole_of(run_id: str, merged: Mapping[str, str]) -> str:
    """The run that a run became a part of, or the run itself."""
    seen = {run_id}
    while (into := merged.get(run_id)) is not None and into not in seen:
        seen.add(into)
        run_id = into
    return run_id


class _Results(NamedTuple):
    """The results that messages have."""

    of_calls: dict[_Place, int]
    """The position of the result of each call that has one."""
    positions: set[int]
    """The positions of all results whose calls are there; a later one may have replaced some."""


def _results_of(messages: Sequence[Message]) -> _Results:
    found = _Results({}, set())
    waiting: dict[str, list[_Place]] = {}
    answered: dict[str, _Place] = {}
    for position, message in enumerate(messages):
        calls = message.tool_calls or ()
        for number in reversed(range(len(calls))):  # the first of a message is taken first
            waiting.setdefault(calls[number].id, []).append(_Place(position, number))
        called = message.tool_call_id
        if message.role != "tool" or called is None:
            continue
        place = waiting[called].pop() if waiting.get(called) else answered.get(called)
        if place is not None:
            found.of_calls[place] = position
            found.positions.add(position)
            answered[called] = place
    return found


def _with_results(
    positions: Iterable[int],
    messages: Sequence[Message],
    results: Mapping[_Place, int],
    no_result: str | None = None,
) -> Iterator[Message]:
    """Yield messages, and after each the results of its calls."""
    for position in positions:
        yield messages[position]
        for number, call in enumerate(messages[position].tool_calls or ()):
            found = results.get(_Place(position, number))
            if found is not None:
                yield messages[found]
            elif no_result is not None:
                yield Message(role="tool", content=no_result, tool_call_id=call.id)
