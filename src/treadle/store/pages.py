"""All items of a listing, read page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

from treadle.core.cursors import CursorPage
from treadle.core.limits import PAGE
from treadle.core.pages import Page

ItemT = TypeVar("ItemT")

Listing: TypeAlias = Callable[..., Awaitable[Page[ItemT]]]
"""A listing method such as `store.runs.list`; it is called with `offset` and `limit`."""

CursorListing: TypeAlias = Callable[..., Awaitable[CursorPage[ItemT]]]
"""A listing method such as `store.runs.search`; it is called with `after` and `limit`."""


async def every(listing: Listing[ItemT]) -> AsyncIterator[ItemT]:
    """Yield each item that can be read, in order.

    While others write, an item may be missed or come twice.
    """
    offset = 0
    while True:
        page = await listing(offset=offset, limit=PAGE)
        for item in page.items:
            yield item
        offset += PAGE  # not the number of items: those that cannot be read are left out
        if not page.has_more:
            return


async def every_by_cursor(listing: CursorListing[ItemT]) -> AsyncIterator[ItemT]:
    """Yield each item that can be read, in order.

    A page costs the same wherever it begins, and what others delete meanwhile hides no other item.
    """
    after: str | None = None
    while True:
        page = await listing(after=after, limit=PAGE)
        for item in page.items:
            yield item
        after = page.next_cursor
        if after is None:
            return
