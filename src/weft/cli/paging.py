"""Listings as long as one asks for, read in the pages that the store gives."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import click
import msgspec

from weft.core.limits import PAGE

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
CommandT = TypeVar("CommandT", bound=Callable[..., object])


class Page(Protocol[T_co]):
    """What listings return."""

    @property
    def items(self) -> Sequence[T_co]:
        """What is on the page."""
        ...

    @property
    def total(self) -> int:
        """How many match."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""
        ...


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Some of what matches, and how many match."""

    items: tuple[T, ...]
    total: int
    has_more: bool


Fetch: TypeAlias = Callable[[int, int], Awaitable[Page[T]]]
"""Gives the page at an offset, of at most so many items."""


async def read_listing(fetch: Fetch[T], offset: int, limit: int) -> Listing[T]:
    """Up to `limit` items from `offset` on."""
    items: list[T] = []
    while True:
        page = await fetch(offset + len(items), min(limit - len(items), PAGE))
        items += page.items
        if not page.has_more or len(items) >= limit:
            return Listing(items=tuple(items), total=page.total, has_more=page.has_more)


async def read_all(fetch: Fetch[T]) -> AsyncIterator[T]:
    """Every item that matches."""
    offset = 0
    while True:
        page = await fetch(offset, PAGE)
        for item in page.items:
            yield item
        offset += len(page.items)
        if not page.has_more or not page.items:
            return


def say_more(listing: Listing[T], offset: int, thing: str) -> None:
    """Tell on standard error that the listing goes on, and how to read on."""
    if listing.has_more:
        end = offset + len(listing.items)
        line = f"{end:,} of {listing.total:,} {thing}; --offset {end} shows the next, --limit more"
        click.echo(line, err=True)


def offset_option(command: CommandT) -> CommandT:
    """`--offset`."""
    option = click.option(
        "--offset", type=click.IntRange(min=0), default=0, help="Pass over these."
    )
    return option(command)


def limit_option(command: CommandT) -> CommandT:
    """`--limit`."""
    kind = click.IntRange(min=1)
    option = click.option(
        "--limit", type=kind, default=50, show_default=True, help="At most so many."
    )
    return option(command)
