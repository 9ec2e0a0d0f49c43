"""Listings: as many items as the user asks for, as a table or as JSON."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from treadle.cli.terminal.notes import write_note
from treadle.cli.terminal.output import write_json, write_table
from treadle.cli.terminal.tables import Column
from treadle.core.codec import Json
from treadle.core.cursors import CursorPage
from treadle.core.limits import PAGE
from treadle.core.pages import Page
from treadle.store.pages import Listing

T = TypeVar("T")


class Search(Protocol[T]):
    """A listing in pages by cursors, such as `store.runs.search`."""

    def __call__(self, *, after: str | None, limit: int) -> Awaitable[CursorPage[T]]:
        """Return a page."""
        ...


async def read_page(listing: Listing[T], offset: int, limit: int) -> Page[T]:
    """Return up to `limit` items from `offset` on; a store returns at most 200 at a time."""
    items: list[T] = []
    unreadable: dict[str, None] = {}
    end = offset + limit
    while True:
        page = await listing(offset=offset, limit=min(end - offset, PAGE))
        items += page.items
        unreadable |= dict.fromkeys(page.unreadable)
        offset += PAGE
        if not page.has_more or offset >= end:
            return Page(
                items=tuple(items),
                total=page.total,
                has_more=page.has_more,
                unreadable=tuple(unreadable),
            )


def write_page(
    page: Page[T],
    offset: int,
    things: str,
    columns: Sequence[Column],
    cells: Callable[[T], Sequence[str]],
    *,
    as_json: bool,
    plain: Callable[[T], Json],
) -> None:
    """Write the page as JSON, or as a table with a note on standard error if there is more."""
    if as_json:
        items = [plain(item) for item in page.items]
        write_json({"items": items, "total": page.total, "has_more": page.has_more})
        return
    write_table(columns, [cells(item) for item in page.items])
    for name in page.unreadable:
        write_note(f"{name} cannot be read; see `treadle doctor`")
    if page.has_more:
        end = offset + len(page.items)
        line = f"{end:,} of {page.total:,} {things}; --offset {end} shows the next, --limit more"
        write_note(line)


async def read_found(search: Search[T], after: str | None, limit: int) -> CursorPage[T]:
    """Return up to `limit` items behind a cursor; a store returns at most 200 at a time."""
    items: list[T] = []
    unreadable: dict[str, None] = {}
    while True:
        page = await search(after=after, limit=min(limit - len(items), PAGE))
        items += page.items
        unreadable |= dict.fromkeys(page.unreadable)
        after = page.next_cursor
        if after is None or len(items) >= limit:
            return CursorPage(items=tuple(items), next_cursor=after, unreadable=tuple(unreadable))


def write_found(
    page: CursorPage[T],
    columns: Sequence[Column],
    cells: Callable[[T], Sequence[str]],
    *,
    as_json: bool,
    plain: Callable[[T], Json],
) -> None:
    """Write the page as JSON, or as a table with a note on standard error if there is more."""
    if as_json:
        items = [plain(item) for item in page.items]
        write_json({"items": items, "next_cursor": page.next_cursor})
        return
    write_table(columns, [cells(item) for item in page.items])
    for name in page.unreadable:
        write_note(f"{name} cannot be read; see `treadle doctor`")
    if page.next_cursor is not None:
        write_note(f"more follow: --after {page.next_cursor} shows the next, --limit more")
