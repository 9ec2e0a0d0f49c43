"""Everything in a listing, read page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

from treadle.core.limits import PAGE
from treadle.core.pages import Page

ItemT = TypeVar("ItemT")

Listing: TypeAlias = Callable[..., Awaitable[Page[ItemT]]]
"""Called with `offset` and `limit`: `store.runs.list`, or a `functools.partial` of it."""


async def every(listing: Listing[ItemT]) -> AsyncIterator[ItemT]:
    """Each item, in order; while others write, one may be missed or come twice."""
    offset = 0
    while True:
        page = await listing(offset=offset, limit=PAGE)
        for item in page.items:
            yield item
        offset += len(page.items)
        if not page.has_more or not page.items:
            return
