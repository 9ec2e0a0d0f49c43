"""What can be done to entries: a dead letter is requeued, and one that has not ended cancelled."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from treadle.core.mailbox_commands import Cancel, Requeue
from treadle.core.mailboxes import UNFINISHED, EntryStatus, MailboxEntry
from treadle.errors import NotFound, TreadleError
from treadle.http._errors import failure_of
from treadle.http._principals import Action
from treadle.store.store import Store

_AT_ONCE = 50
"""How many entries are changed in one transaction: their payloads come with them."""


class EntryAction(NamedTuple):
    """Something that can be done to entries."""

    right: Action
    """The right that it needs; its paths have the same name."""
    command: type[Requeue] | type[Cancel]
    changes: tuple[EntryStatus, ...]
    """The statuses of entries that it changes."""
    makes: EntryStatus
    """Their status afterwards."""
    verb: str
    past: str
    effect: str
    """What it does, in a sentence."""
    done: str
    """What the entries are afterwards."""


REQUEUE = EntryAction(
    right="requeue",
    command=Requeue,
    changes=("dead_letter",),
    makes="queued",
    verb="Requeue",
    past="requeued",
    effect="They are due at once, and their attempts are counted from zero.",
    done="queued again",
)
CANCEL = EntryAction(
    right="cancel",
    command=Cancel,
    changes=UNFINISHED,
    makes="cancelled",
    verb="Cancel",
    past="cancelled",
    effect="They end, and so do their runs. Workers that hold one lose it. This cannot be undone.",
    done="cancelled",
)
ENTRY_ACTIONS = (REQUEUE, CANCEL)


def counted(count: int, noun: str = "entry", nouns: str = "entries") -> str:
    """Return a number of things in words: "1 entry", "2 entries"."""
    return f"{count:,} {noun if count == 1 else nouns}"


async def act_on_one(store: Store, act: EntryAction, entry_id: str) -> str:
    """Do it to an entry, and return what is to be said about it.

    Raises:
        NotFound: it does not exist.
    """
    (found,) = await _commit(store, act, [entry_id])
    if found is None:
        raise NotFound("mailbox entry", entry_id)
    if found.status == act.makes:
        return f"The entry is {act.done}."
    status = found.status.replace("_", " ")
    return f"Nothing was done: the entry has changed meanwhile, and is {status} now."


async def act_on_all(store: Store, act: EntryAction, entry_ids: Sequence[str]) -> str:
    """Do it to entries, some at a time, and return what is to be said about it.

    Raises:
        TreadleError: it failed before anything was done.
    """
    found: list[MailboxEntry | None] = []
    for start in range(0, len(entry_ids), _AT_ONCE):
        try:
            found += await _commit(store, act, entry_ids[start : start + _AT_ONCE])
        except TreadleError as error:
            if not found:
                raise
            rest = counted(len(entry_ids) - len(found))
            return f"{_said(act, found)} Then it failed, so {rest} stay as before: " + (
                failure_of(error).message
            )
    return _said(act, found)


async def _commit(
    store: Store, act: EntryAction, entry_ids: Sequence[str]
) -> tuple[MailboxEntry | None, ...]:
    commands = tuple(act.command(entry_id=entry_id) for entry_id in entry_ids)
    results: tuple[MailboxEntry | None, ...] = (await store.commit(commands)).results
    return results


def _said(act: EntryAction, found: Sequence[MailboxEntry | None]) -> str:
    statuses = Counter(None if entry is None else entry.status for entry in found)
    done, gone = statuses.pop(act.makes, 0), statuses.pop(None, 0)
    said = f"{counted(done)} {'is' if done == 1 else 'are'} {act.done}."
    others = sum(statuses.values())
    if others:
        stay = "stays as it is" if others == 1 else "stay as they are"
        said += f" {counted(others)} had changed meanwhile, and {stay}."
    if gone:
        said += f" {counted(gone)} had been deleted meanwhile."
    return said
