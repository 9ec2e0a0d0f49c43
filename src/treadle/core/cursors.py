"""Listings that are read by cursors: each page begins after the last item of the one before.

A cursor is an opaque text that says where a page ended. A page costs the same wherever it begins.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from heapq import nlargest, nsmallest
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from treadle.core.codec import Model, always_encoded
from treadle.core.ids import is_id
from treadle.core.limits import LARGEST_TIME, clamp_page
from treadle.core.pages import Order
from treadle.errors import InvalidValue, shorten

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT", bound=str)
PageT = TypeVar("PageT", bound="CursorPage[Any]")

NO_TIME = -1
"""The time in a position where items are sorted by their ids, or where an item has no time."""

SortTime: TypeAlias = Annotated[int, Meta(ge=-1, le=LARGEST_TIME)]
"""A time that items are sorted by; -1 for none, which comes before all others."""


class Position(
    msgspec.Struct, Generic[KeyT], frozen=True, array_like=True, forbid_unknown_fields=True
):
    """The position of an item in a listing."""

    by: KeyT
    """What the listing is sorted by."""
    time: SortTime
    """The time it is sorted by; -1 if that is its id, or if it has no such time."""
    id: str

    @property
    def order(self) -> tuple[int, str]:
        """What positions in one listing are compared by."""
        return self.time, self.id


class CursorPage(Model, Generic[ItemT], frozen=True, kw_only=True):
    """A page of a listing that is read by cursors."""

    items: tuple[ItemT, ...] = always_encoded(())
    next_cursor: str | None = None
    """Pass it as `after` for the next page; None if this is the last one."""
    unreadable: tuple[str, ...] = ()
    """Damaged records that were left out, by name. A store in a folder names all that it knows of,
    whatever the page and the filters."""


def cursor_of(position: Position[Any]) -> str:
    """Return the cursor of a position."""
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def read_cursor(
    kind: type[Position[KeyT]], cursor: str | None, by: KeyT, where: str
) -> Position[KeyT] | None:
    """Return the position after which a page begins; None is the beginning.

    Args:
        kind: the kind of position.
        cursor: the cursor of the page before, or None.
        by: what the listing is sorted by.
        where: names the cursor for errors.

    Raises:
        InvalidValue: no page of such a listing has this cursor.
    """
    if cursor is None:
        return None
    try:
        padding = "=" * (-len(cursor) % 4)
        position = msgspec.json.decode(urlsafe_b64decode(cursor + padding), type=kind)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(where, f"{shorten(cursor)} is not a cursor of this listing") from error
    if cursor_of(position) != cursor or not is_id(position.id):
        raise InvalidValue(where, f"{shorten(cursor)} is not a cursor of this listing")
    if position.by != by:
        reason = f"it is a cursor of a listing by {position.by}, not by {by}"
        raise InvalidValue(where, reason)
    return position


def page_after(
    kind: type[PageT],
    start: Position[KeyT] | None,
    items: Iterable[tuple[Position[KeyT], Any]],
    order: Order,
    limit: int,
    unreadable: Iterable[str] = (),
) -> PageT:
    """Sort the items that match, and cut the page that begins after `start`."""
    following = [each for each in items if start is None or _is_after(each[0], start, order)]
    first = nsmallest if order == "asc" else nlargest
    size = clamp_page(limit)
    found = first(size + 1, following, key=lambda each: each[0].order)
    return cursor_page(kind, found[:size], unreadable, more=len(found) > size)


def cursor_page(
    kind: type[PageT],
    items: list[tuple[Position[KeyT], Any]],
    unreadable: Iterable[str] = (),
    *,
    more: bool,
) -> PageT:
    """Make the page of some items; `more` says whether any follow."""
    return kind(
        items=tuple(item for _, item in items),
        next_cursor=cursor_of(items[-1][0]) if more and items else None,
        unreadable=tuple(unreadable),
    )


def _is_after(position: Position[KeyT], start: Position[KeyT], order: Order) -> bool:
    one, other = start.order, position.order
    return one < other if order == "asc" else one > other
