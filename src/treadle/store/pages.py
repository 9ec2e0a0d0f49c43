"""All items of a listing, read page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

from treadle.core.limits import PAGE
from treadle.core.pages import Page

ItemT = TypeVar("ItemT")

Listing: TypeAlias = Callable[..., Awaitable[Page[ItemT]]]
"""A listing method such as `store.runs.list`; it is called with `offset` and `limit`."""


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
