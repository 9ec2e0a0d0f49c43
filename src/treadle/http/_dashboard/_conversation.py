"""A page of messages as people read it: each tool call with its result."""

from collections.abc import Iterable

import msgspec

from treadle.core.messages import StoredMessage, ToolCall

MOST_CALLS = 50
"""Most tool calls of a message that are shown beside it."""


class ShownCall(msgspec.Struct):
    """A tool call, and the message that answers it, if that is on the same page."""

    call: ToolCall
    result: StoredMessage | None = None


class ShownMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message with its tool calls."""

    stored: StoredMessage
    calls: tuple[ShownCall, ...] = ()
    more_calls: int = 0
    """How many of its calls are left out."""


def conversation(messages: Iterable[StoredMessage]) -> list[ShownMessage]:
    """Return messages, oldest first, with the results of tools beside their calls.

    A result whose call is on an earlier page, or is left out, stays a message.
    """
    found: list[ShownMessage] = []
    open_calls: dict[str, ShownCall] = {}
    for stored in messages:
        message = stored.message
        asked = open_calls.pop(message.tool_call_id or "", None) if message.role == "tool" else None
        if asked is not None:
            asked.result = stored
            continue
        tool_calls = message.tool_calls or ()
        calls = tuple(ShownCall(call) for call in tool_calls[:MOST_CALLS])
        # The id of a call is unique in its message only: the last message that has it is meant.
        open_calls.update((each.call.id, each) for each in calls)
        more = len(tool_calls) - len(calls)
        found.append(ShownMessage(stored=stored, calls=calls, more_calls=more))
    return found
