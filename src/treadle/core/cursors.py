"""Cursors of listings: where a page ended, as an opaque text that callers give back."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from treadle.errors import InvalidValue, shorten

PositionT = TypeVar("PositionT", bound=msgspec.Struct)


def cursor_of(position: msgspec.Struct) -> str:
    """Return the cursor of a position."""
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def read_cursor(kind: type[PositionT], cursor: str, where: str) -> PositionT:
    """Return the position of a cursor.

    Raises:
        InvalidValue: no listing gives such a cursor; `where` names it.
    """
    try:
        padding = "=" * (-len(cursor) % 4)
        position = msgspec.json.decode(urlsafe_b64decode(cursor + padding), type=kind)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(where, f"{shorten(cursor)} is no cursor of this listing") from error
    if cursor_of(position) != cursor:
        raise InvalidValue(where, f"{shorten(cursor)} is no cursor of this listing")
    return position
