"""Messages in the payloads of entries, such as those in a request for a run of tirea."""

from collections.abc import Callable

from treadle.core.codec import Json


def with_messages(payload: Json, are_shown: Callable[[Json], bool]) -> Json:
    """Return a payload with those of its messages that are shown."""
    if not isinstance(payload, dict) or not isinstance(payload.get("messages"), list):
        return payload
    return {**payload, "messages": [each for each in payload["messages"] if are_shown(each)]}


def is_internal(message: Json) -> bool:
    """Return whether a message in a payload is internal."""
    return isinstance(message, dict) and message.get("visibility") == "internal"


def is_external(message: Json) -> bool:
    """Return whether everybody who may read the entry may see a message in its payload."""
    return not is_internal(message)
