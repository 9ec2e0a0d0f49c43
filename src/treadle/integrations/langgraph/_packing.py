"""Lists of messages as bytes that are made, compared and read again quickly.

A graph reads its list of messages at the beginning of a turn, and stores it at each step. The
serializer, which validates each message again, takes four times as long. These bytes are only kept
in memory: what is stored is always the serializer's.
"""

from collections.abc import Sequence
from typing import Any

import ormsgpack
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

_KINDS: tuple[type[BaseMessage], ...] = (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_EXACT = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
"""Refuses all that would be read as something else."""
_SHORT_LIST = 0x90
"""MessagePack begins a list of up to 15 items with this plus their number."""
_LIST_16 = b"\xdc"
"""Begins a longer list; its length follows in two bytes."""
_LIST_32 = b"\xdd"
"""The same with four bytes."""


def pack(items: list[Any]) -> bytes | None:
    """Return messages as bytes; None if an item is something else, or has an object in a field."""
    try:
        states = [[_NUMBERS[type(item)], item.__dict__, item.model_extra] for item in items]
        return ormsgpack.packb(states, option=_EXACT)
    except (KeyError, TypeError):
        return None


def join(parts: Sequence[bytes]) -> bytes:
    """Return packed lists as one, without a look at their messages."""
    counts, bodies = zip(*map(_split, parts), strict=True)
    count = sum(counts)
    if count < 16:
        head = bytes([_SHORT_LIST | count])
    elif count < 2**16:
        head = _LIST_16 + count.to_bytes(2)
    else:
        head = _LIST_32 + count.to_bytes(4)
    return b"".join((head, *bodies))


def _split(packed: bytes) -> tuple[int, bytes]:
    """Return the length of a packed list, and its items."""
    kind = packed[:1]
    if kind == _LIST_16:
        return int.from_bytes(packed[1:3]), packed[3:]
    if kind == _LIST_32:
        return int.from_bytes(packed[1:5]), packed[5:]
    return packed[0] - _SHORT_LIST, packed[1:]


def unpack(packed: bytes) -> list[Any]:
    """Return the messages again, as new objects."""
    return [_message(*state) for state in ormsgpack.unpackb(packed)]


def _message(number: int, fields: dict[str, Any], extra: dict[str, Any] | None) -> BaseMessage:
    kind = _KINDS[number]
    message = kind.__new__(kind)
    message.__setstate__(
        {
            "__dict__": fields,
            "__pydantic_extra__": extra,
            "__pydantic_fields_set__": {*fields, *(extra or ())},
            "__pydantic_private__": None,
        }
    )
    return message
