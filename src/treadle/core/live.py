"""Live values: what is worth showing while it is made, and is nowhere kept."""

import msgspec

from treadle.core.codec import Json, check_json
from treadle.core.limits import LIVE_BYTES
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
