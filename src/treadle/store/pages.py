"""All items of a listing, read page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

from treadle.core.limits import PAGE
from treadle.core.pages import Page

ItemT = TypeVar("ItemT")

Listing: TypeAlias = Callable[..., Awaitable[Page[ItemT]]]
"""A listing method such as `store.runs.list`; it is called with `offset` and `limit`."""


async def every(listing: Listing[ItemT]) -> AsyncIterator[ItemT]:
    """Yield each item, in order. While others write, an item may be missed or come twice."""
    offset = 0
    while True:
        page = await listing(offset=offset, limit=PAGE)
        for item in page.items:
            yield item
        offset += len(page.items)
        if not page.has_more or not page.items:
            return
