"""A conversation of an export, as it is read and before it is stored."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from treadle.core.codec import Json
from treadle.core.limits import LARGEST_TIME
from treadle.core.messages import Message
from treadle.core.threads import ThreadMetadata
from treadle.integrations._values import as_list
from treadle.integrations.chat_exports._trees import Tree

OPEN_CALLS = 100
"""How many calls back the one is looked for that a result belongs to."""


class Conversation(msgspec.Struct):
    """A conversation with all its branches."""

    id: str
    metadata: ThreadMetadata
    tree: Tree
    messages: dict[str, tuple[Message, ...]]
    """The messages of each node of the tree."""
    current: str | None
    """A node of the branch that the program shows; None if there is no node."""
    files: frozenset[str]
    """The files that the messages name; an export has them beside the conversations, or not."""


class Program(msgspec.Struct, frozen=True):
    """A program that exports conversations, and how they are read."""

    name: str
    key: str
    """The key in `extra` that has the fields of its exports."""
    messages: str
    """The field with a conversation's messages."""
    changed_at: str
    """The field with the time of a conversation's last change."""
    id_of: Callable[[dict[str, Json]], str]
    """Returns the id of a conversation; raises InvalidValue if it has none."""
    read: Callable[[dict[str, Json]], Conversation]
    """Returns the conversation; raises InvalidValue if it is not one."""


def as_milliseconds(value: Json) -> int | None:
    """Return a time, given in seconds or as a text of ISO 8601, in unix milliseconds.

    None means that it is not a time that a store can keep.
    """
    seconds: float
    match value:
        case bool():
            return None
        case int() | float():
            seconds = value
        case str():
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return None
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = moment.timestamp()
        case _:
            return None
    if not math.isfinite(seconds) or not 0 <= seconds * 1000 < LARGEST_TIME:
        return None
    return round(seconds * 1000)


def without_nulls(fields: dict[str, Json], *names: str) -> dict[str, Json]:
    """Return all fields but those named and those that are null."""
    return {key: value for key, value in fields.items() if value is not None and key not in names}


def list_of(value: Json, where: str) -> list[Json]:
    """Return a list, which may be absent."""
    return [] if value is None else as_list(value, where)
