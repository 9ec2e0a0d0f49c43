"""Live values: what is shown while it is made, and stored nowhere."""

from typing import Literal, TypeAlias

import msgspec

from treadle.core.codec import Json, check_json
from treadle.core.limits import LIVE_BYTES, Count
from treadle.errors import InvalidValue


def encode_live(value: Json) -> bytes:
    """Return the JSON of a live value.

    Raises:
        InvalidValue: JSON cannot hold it, or it is larger than `LIVE_BYTES`.
    """
    check_json(value, "value")
    data = msgspec.json.encode(value)
    if len(data) > LIVE_BYTES:
        reason = f"it has {len(data)} bytes, and a live value at most {LIVE_BYTES}"
        raise InvalidValue("value", f"{reason}; publish parts of it, or append it to the thread")
    return data


def decode_live(data: bytes) -> Json:
    """Return the live value that comes from another process.

    Raises:
        InvalidValue: it is none.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue("value", str(error)) from error


PartKind: TypeAlias = Literal["text", "reasoning", "tool_call"]
"""The part of a message that grows: its text, what the model thinks, or arguments of a call."""


class LivePiece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a message that is being written.

    `number` counts the pieces of a part, from 0: where one is missing, wait for the message.
    """

    message_id: str
    run_id: str = ""
    part: PartKind = "text"
    number: Count
    delta: str
    """The text that follows the pieces before it."""
    tool_call_id: str | None = None
    tool_name: str | None = None


def piece_in(value: Json) -> LivePiece | None:
    """Return the piece that a live value is; None if it is something else."""
    try:
        return msgspec.convert(value, type=LivePiece)
    except msgspec.ValidationError:
        return None
