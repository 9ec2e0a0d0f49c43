"""Acting on many entries: on those that were chosen, or on all that match the filters.

The page that asks names the entries, so that exactly those are changed that it has counted, however
often its button is pressed and whatever has come meanwhile.
"""

from typing import NamedTuple, cast
from urllib.parse import quote, unquote

import msgspec
from starlette.responses import Response

from treadle.core.entry_groups import statuses_of
from treadle.core.limits import PAGE
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import InvalidValue
from treadle.http._call import Call
from treadle.http._dashboard._confirming import confirm
from treadle.http._dashboard._entry_actions import (
    CANCEL,
    ENTRY_ACTIONS,
    EntryAction,
    act_on_all,
    counted,
)
from treadle.http._dashboard._entry_filters import EntryFilters, filters_of, search
from treadle.http._dashboard._rendering import redirect, url
from treadle.http._handlers import Handle
from treadle.http._operation import Operation
from treadle.http._output import shown_entry
from treadle.http._owners import ALL
from treadle.store.store import Store

_MOST = 1_000
"""Most entries of one action."""
_ROOM = 200_000
"""Most characters of their ids on the page that asks."""
_FIRST = 10
"""How many of them the page that asks shows."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries were chosen."""

    entry_id: tuple[str, ...] = ()
    """Their ids, percent-encoded once more: in forms, invisible characters would be lost."""
    all: bool = False
    """All that match the filters, instead."""
    of: str = ""
    """The filters of the list, as it has them in its query."""


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """The entries that the page has named that asked."""

    ids: str = ""
    """Their ids, percent-encoded, one a line."""
    of: str = ""


class _Chosen(NamedTuple):
    ids: list[str]
    first: list[MailboxEntry]
    more: bool
    """Whether there may be more that match."""


def _ask(act: EntryAction) -> Handle:
    async def handle(call: Call) -> Response:
        choice = cast("Choice", call.query)
        filters = filters_of(choice.of)
        if choice.all:
            chosen = await _matching(call.store, act, filters)
        else:
            chosen = await _named(call.store, act, [*map(unquote, choice.entry_id)])
        internal = call.can("read_internal")
        number = counted(len(chosen.ids))
        return confirm(
            call,
            question=f"{act.verb} {number}?" if chosen.ids else "There is nothing to do",
            effects=_effects(act, choice, chosen),
            button=f"{act.verb} {number}" if chosen.ids else "",
            action=(f"{act.right}-entries",),
            fields={"ids": "\n".join(map(_quoted, chosen.ids)), "of": choice.of},
            back=url(call.request, "entries", **filters.as_query()),
            section="entries",
            is_final=act is CANCEL,
            entries=[shown_entry(entry, internal=internal) for entry in chosen.first],
        )

    return handle


def _effects(act: EntryAction, choice: Choice, chosen: _Chosen) -> list[str]:
    if not chosen.ids:
        return [_nothing(act, choice)]
    left_out = len(choice.entry_id) - len(chosen.ids)
    effects = [act.effect]
    if chosen.more:
        first = f"These are the first {len(chosen.ids):,}, and more match."
        effects.insert(0, f"{first} Do it again for the next ones.")
    elif choice.all:
        effects.insert(0, "These are all that match the filters.")
    elif left_out > 0:
        effects.insert(0, f"{counted(left_out)} that you selected had changed meanwhile.")
    return effects


def _nothing(act: EntryAction, choice: Choice) -> str:
    if choice.all:
        return f"No entry that matches can be {act.past}."
    if not choice.entry_id:
        return "You have selected no entry."
    return f"None of the entries that you selected can be {act.past}: they have changed meanwhile."


async def _named(store: Store, act: EntryAction, entry_ids: list[str]) -> _Chosen:
    """Those of the entries with these ids that can be changed."""
    if not entry_ids:
        return _Chosen([], [], more=False)
    found = await store.read(*(LoadEntry(entry_id=entry_id) for entry_id in entry_ids))
    entries = [entry for entry in found if entry is not None and entry.status in act.changes]
    return _Chosen([entry.entry_id for entry in entries], entries[:_FIRST], more=False)


async def _matching(store: Store, act: EntryAction, filters: EntryFilters) -> _Chosen:
    """The entries that match filters, as many as one action may have."""
    chosen = _Chosen([], [], more=False)
    room = _ROOM
    can_be_changed = not set(act.changes).isdisjoint(statuses_of(filters.tab))
    wanted = filters if can_be_changed else None
    while wanted is not None:
        (page,) = await store.read(search(wanted, PAGE))
        for entry in page.items:
            room -= len(_quoted(entry.entry_id))
            if room < 0 or len(chosen.ids) == _MOST:
                return chosen._replace(more=True)
            chosen.ids.append(entry.entry_id)
            if len(chosen.first) < _FIRST:
                chosen.first.append(entry)
        after = page.next_cursor
        wanted = None if after is None else msgspec.structs.replace(wanted, after=after)
    return chosen


def _act(act: EntryAction) -> Handle:
    async def handle(call: Call) -> Response:
        form = cast("Confirmed", call.body)
        filters = filters_of(form.of)
        entry_ids = list(dict.fromkeys(map(unquote, form.ids.split())))
        if not 1 <= len(entry_ids) <= _MOST:
            raise InvalidValue("ids", f"choose 1 to {_MOST:,} entries, not {len(entry_ids):,}")
        said = await act_on_all(call.store, act, entry_ids)
        (left,) = await call.store.read(search(filters, 1))
        said += " Others still match." if left.items else " None is left that matches."
        return redirect(call, "entries", said=said, **filters.as_query())

    return handle


def _quoted(entry_id: str) -> str:
    return quote(entry_id, safe="")


OPERATIONS = (
    *(
        Operation(
            method="GET",
            path=f"/{act.right}-entries",
            summary=f"Ask whether to {act.right} entries.",
            action=act.right,
            owner=ALL,
            query=Choice,
            handle=_ask(act),
        )
        for act in ENTRY_ACTIONS
    ),
    *(
        Operation(
            method="POST",
            path=f"/{act.right}-entries",
            summary=f"{act.verb} up to {_MOST:,} entries.",
            action=act.right,
            owner=ALL,
            form=Confirmed,
            handle=_act(act),
        )
        for act in ENTRY_ACTIONS
    ),
)
