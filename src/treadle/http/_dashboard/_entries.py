"""The list of entries, by what they wait for, and the errors of those that have failed for good."""

from itertools import takewhile
from typing import NamedTuple, cast

from starlette.responses import Response

from treadle.core.entry_groups import CountGroups
from treadle.core.escaping import one_line
from treadle.core.mailbox_reports import ErrorGroup, ErrorGroups, ListErrors
from treadle.http._call import Call
from treadle.http._dashboard._entry_filters import COUNTED, EntryFilters, search
from treadle.http._dashboard._rendering import render
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import ALL

_PAGE = 50
_LONGEST_FILTER = 300
"""Most characters of an error by which entries are found."""


class FoundError(NamedTuple):
    """An error of dead letters."""

    group: ErrorGroup
    filters: EntryFilters | None
    """How those that have it are found; None if they cannot be."""


async def _list(call: Call) -> Response:
    wanted = cast("EntryFilters", call.query)
    page, counts = await call.store.read(
        search(wanted, _PAGE), CountGroups(mailbox_id=wanted.mailbox_id, limit=COUNTED)
    )
    errors = await _errors(call, wanted)
    return render(
        call,
        "entries.html",
        wanted=wanted,
        page=page,
        entries=[shown_entry(entry, internal=call.can("read_internal")) for entry in page.items],
        counts=counts,
        errors=errors,
        found_errors=[found_error(call, group, wanted.mailbox_id) for group in errors.items],
        now=counts.at,
    )


async def _errors(call: Call, wanted: EntryFilters) -> ErrorGroups:
    """The errors of dead letters, unless only some of these are wanted."""
    if wanted != EntryFilters(tab="dead", mailbox_id=wanted.mailbox_id):
        return ErrorGroups()
    (errors,) = await call.store.read(ListErrors(mailbox_id=wanted.mailbox_id, limit=COUNTED))
    return errors


def found_error(call: Call, group: ErrorGroup, mailbox_id: str | None = None) -> FoundError:
    """Return an error with the filters by which the entries that have it are found."""
    text = _filter_of(group.error)
    if not text or call.redact("error", group.error) != group.error:
        return FoundError(group, None)  # the filter would show what the hook hides
    filters = EntryFilters(tab="dead", mailbox_id=mailbox_id, error=text)
    return FoundError(group, filters)


def _filter_of(error: str) -> str:
    """The beginning of an error that a field of a form shows and sends back as it is."""
    beginning = error[:_LONGEST_FILTER]
    same = takewhile(
        lambda pair: pair[0] == pair[1], zip(beginning, one_line(beginning), strict=False)
    )
    return "".join(char for char, _ in same).strip()


OPERATIONS = (
    Operation(
        method="GET",
        path="/entries",
        summary="List the entries of all mailboxes.",
        action="read",
        owner=ALL,
        query=EntryFilters,
        handle=_list,
    ),
)
