"""Pages of listings: a stretch of what matches, how many match, and whether more follow."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from treadle.core.codec import Model, written
from treadle.core.limits import clamp_page

ItemT = TypeVar("ItemT")
PageT = TypeVar("PageT", bound="Page[Any]")


class PageQuery(Model, frozen=True, kw_only=True):
    """Which page of a listing: at most `limit` items (1..200), leaving out `offset` of them."""

    offset: int = 0
    limit: int = 50

    @property
    def start(self) -> int:
        """Where the page begins."""
        return max(self.offset, 0)

    @property
    def end(self) -> int:
        """Where the page ends at the latest; this is not in it any more."""
        return self.start + clamp_page(self.limit)


class Page(Model, Generic[ItemT], frozen=True, kw_only=True):
    """A page of a listing; `total` counts all that match."""

    items: tuple[ItemT, ...] = written(())
    total: int = written(0)
    has_more: bool = written(False)


def page_of(kind: type[PageT], matching: Sequence[Any], query: PageQuery) -> PageT:
    """The page of all that match, in their order, that `query` asks for."""
    return page_with(kind, matching[query.start : query.end], len(matching), query)


def page_with(kind: type[PageT], items: Iterable[Any], total: int, query: PageQuery) -> PageT:
    """The page that holds `items`, which are those of `total` that `query` asks for."""
    return kind(items=tuple(items), total=total, has_more=query.end < total)
