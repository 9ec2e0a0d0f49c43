"""Which ids a store accepts: whatever is safe as a file name on every system we run on."""

import re
from typing import Literal

from treadle.core.limits import ID_BYTES
from treadle.errors import InvalidId

IdKind = Literal["thread", "run", "mailbox", "entry"]
"""What an id names: for errors."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(?:[.:]|$)")


def check_id(kind: IdKind, value: object) -> str:
    """Return `value` if it may be an id, else raise `InvalidId`.

    The reference refuses the empty id, separators, `..`, NUL and control characters; Treadle also
    refuses more than 200 bytes of UTF-8, lone surrogates and the device names Windows reserves.

    Raises:
        InvalidId: it may not be an id; the error says why.
    """
    if not isinstance(value, str):
        raise InvalidId(kind, value, f"it must be a string, not {type(value).__name__}")
    reason = _refusal(value)
    if reason is not None:
        raise InvalidId(kind, value, reason)
    return value


def check_optional_id(kind: IdKind, value: object) -> None:
    """Raise `InvalidId` unless `value` is None or may be an id."""
    if value is not None:
        check_id(kind, value)


def _refusal(value: str) -> str | None:
    if not value:
        return "it must not be empty"
    if "/" in value or "\\" in value:
        return "it must not contain / or \\"
    if ".." in value:
        return "it must not contain .."
    if _CONTROL.search(value):
        return "it must not contain control characters"
    if _DEVICE.match(value):
        return "it is a device name reserved by Windows"
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        return "it must be valid Unicode, without lone surrogates"
    if size > ID_BYTES:
        return f"it must be at most {ID_BYTES} bytes of UTF-8, not {size}"
    return None
