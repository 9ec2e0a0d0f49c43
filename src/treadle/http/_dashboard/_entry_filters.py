"""Filters of entries: what the URL of the list says, as a search of the store."""

from typing import Literal, TypeAlias
from urllib.parse import urlencode

import msgspec

from treadle.clock import system_clock
from treadle.core.entry_groups import EntryGroup
from treadle.core.ids import MailboxId
from treadle.core.mailbox_queries import SearchEntries
from treadle.http._input import parameters_of, read_query

COUNTED = 1_000
"""How far a page counts entries: it is fetched again every few seconds."""
Age: TypeAlias = Literal["15min", "1h", "1d", "7d", "30d"]

_AGES: dict[Age, int] = {
    "15min": 900_000,
    "1h": 3_600_000,
    "1d": 86_400_000,
    "7d": 604_800_000,
    "30d": 2_592_000_000,
}
"""Lengths of time in milliseconds."""


class EntryFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are listed."""

    tab: EntryGroup = "due"
    mailbox_id: MailboxId | None = None
    error: str | None = None
    """A text that their last error contains."""
    claimed_by: str | None = None
    since: Age | None = None
    """How long ago they were sent at most."""
    after: str | None = None
    """The cursor of the page before."""

    @property
    def is_filtered(self) -> bool:
        """Return whether they are more than a tab."""
        return self != EntryFilters(tab=self.tab, after=self.after)

    def as_query(self) -> dict[str, str]:
        """Return them as the parameters of a URL, without the page."""
        return {
            name: value
            for name in self.__struct_fields__
            if name != "after" and (value := getattr(self, name)) is not None
        }

    def as_text(self) -> str:
        """Return the same as the query of a URL."""
        return urlencode(self.as_query())


def filters_of(query: str) -> EntryFilters:
    """Return the filters that a query of a URL has.

    Raises:
        InvalidValue: it has others.
    """
    parameters = parameters_of(EntryFilters, ())
    found: EntryFilters = read_query(query.encode(), parameters, {}, skip_empty=True)
    return found


def search(wanted: EntryFilters, limit: int) -> SearchEntries:
    """Return the search for a page of the entries that match.

    What has a time to wait for comes in the order of these times, and else the newest first.
    """
    by_time = wanted.tab in ("due", "scheduled", "retrying")
    return SearchEntries(
        by="available_at" if by_time else "created_at",
        order="asc" if by_time else "desc",
        after=wanted.after,
        limit=limit,
        mailbox_id=wanted.mailbox_id,
        group=wanted.tab,
        error=wanted.error,
        claimed_by=wanted.claimed_by,
        since=None if wanted.since is None else system_clock() - _AGES[wanted.since],
    )
