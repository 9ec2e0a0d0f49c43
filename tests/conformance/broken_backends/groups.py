"""Backends that group, count or sum by another rule, or no further than they are asked to."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.entry_groups import CountGroups
from treadle.core.mailbox_queries import ListMailboxSummaries, SearchEntries
from treadle.core.mailbox_reports import ListConsumers, ListErrors
from treadle.core.usage import SumUsage


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a group is listed in pages of any size: retrying")
class Fresh(MemoryBackend):
    """Lists what waits for its retry as scheduled."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SearchEntries) and query.group == "retrying":
            query = replace(query, group="scheduled")
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a group is listed of one mailbox: paused")
class Halted(MemoryBackend):
    """Takes all that is queued in a mailbox for paused."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SearchEntries) and query.group == "paused" and query.mailbox_id:
            query = replace(query, group=None, statuses=("queued",))
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "groups and the other filters hold together")
class Forgetful(MemoryBackend):
    """Looks at the statuses of a search only if it asks for no group."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SearchEntries) and query.group is not None:
            query = replace(query, statuses=None)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a group follows the time")
class Timeless(MemoryBackend):
    """Ignores the time of a search."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SearchEntries):
            query = replace(query, now=None)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "groups are counted in one mailbox or in all")
class Everywhere(MemoryBackend):
    """Counts the groups of all mailboxes where one was asked for."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, CountGroups):
            query = replace(query, mailbox_id=None)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a count of groups stops at its limit")
class Endless(MemoryBackend):
    """Counts the groups to their end."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, CountGroups):
            query = replace(query, limit=10_000)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a summary counts no further than it is asked to")
class Boundless(MemoryBackend):
    """Counts the entries of mailboxes to their end."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, ListMailboxSummaries):
            query = replace(query, counted=10_000)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "the newest runs are looked at for their tokens")
class Spendthrift(MemoryBackend):
    """Sums the tokens of all runs."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, SumUsage):
            query = replace(query, limit=None)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "errors are those of the newest dead letters")
class Thorough(MemoryBackend):
    """Looks at all dead letters for their errors."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, ListErrors):
            query = replace(query, limit=10_000)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "consumers are those who hold entries")
class Lenient(MemoryBackend):
    """Takes no lease of a consumer for expired."""

    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if not isinstance(query, ListConsumers):
            return found
        return replace(found, items=tuple(replace(each, expired=0) for each in found.items))
