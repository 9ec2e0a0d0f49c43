"""Pages of listings: some of the items that match, how many match, and whether more follow."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar

from treadle.core.codec import Model, always_encoded
from treadle.core.limits import Bound, clamp_page
from treadle.core.queries import Query

Order = Literal["asc", "desc"]
"""The direction of a listing: "asc" begins with the first or oldest item, "desc" with the last."""

ItemT = TypeVar("ItemT")
PageT = TypeVar("PageT", bound="Page[Any]")


class PageQuery(Query[PageT], Generic[PageT], frozen=True, kw_only=True):
    """A page of a listing: at most `limit` items (clamped to 1..200), after the first `offset`."""

    offset: Bound = 0
    limit: Bound = 50

    @property
    def start(self) -> int:
        """Index of the first item."""
        return max(self.offset, 0)

    @property
    def end(self) -> int:
        """End index of the page, exclusive."""
        return self.start + clamp_page(self.limit)


class Page(Model, Generic[ItemT], frozen=True, kw_only=True):
    """A page of a listing; `total` counts all that match."""

    items: tuple[ItemT, ...] = always_encoded(())
    total: int = always_encoded(0)
    has_more: bool = always_encoded(False)
    unreadable: tuple[str, ...] = ()
    """Damaged records that were left out, by name; `total` may count them. A store in a folder
    names all that it knows of, whatever the page and the filters."""


def page_of(
    kind: type[PageT],
    matching: Sequence[Any],
    query: PageQuery[PageT],
    unreadable: Iterable[str] = (),
) -> PageT:
    """Cut the page that `query` asks for out of all items that match, which are in order."""
    return page_with(kind, matching[query.start : query.end], len(matching), query, unreadable)


def page_with(
    kind: type[PageT],
    items: Iterable[Any],
    total: int,
    query: PageQuery[PageT],
    unreadable: Iterable[str] = (),
) -> PageT:
    """Make the page of `items`, which `query` asks for, out of `total` that match."""
    return kind(
        items=tuple(items),
        total=total,
        has_more=query.end < total,
        unreadable=tuple(unreadable),
    )
