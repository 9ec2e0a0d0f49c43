"""Mailboxes: work waiting for an agent.

The commands about them are in `treadle.core.mailbox_commands` and `treadle.core.mailbox_pauses`,
those of the holder of a claim in `treadle.core.claims`, and the queries in
`treadle.core.mailbox_queries`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, Protocol, get_args

import msgspec

from treadle.core.codec import Json, Model, always_encoded
from treadle.core.ids import EntryId, MailboxId
from treadle.core.limits import (
    Attempts,
    Count,
    Generation,
    Headers,
    Priority,
    Time,
    later,
)
from treadle.core.pages import Page
from treadle.core.rows import Table

EntryOrigin = Literal["external", "internal"]
"""Where an entry comes from: from outside, or from an agent; no rule depends on it."""

EntryStatus = Literal["queued", "claimed", "accepted", "superseded", "cancelled", "dead_letter"]
"""The status of an entry; all but the first two are final."""

STATUSES: tuple[EntryStatus, ...] = get_args(EntryStatus)
UNFINISHED: tuple[EntryStatus, ...] = ("queued", "claimed")
TERMINAL: frozenset[EntryStatus] = frozenset(STATUSES) - frozenset(UNFINISHED)
"""The statuses of entries that have ended."""
SETTLED: tuple[EntryStatus, ...] = ("accepted", "superseded", "cancelled")
"""The statuses that a purge removes by default: people have to look at dead letters first."""


class MailboxEntry(Model, frozen=True, kw_only=True):
    """A piece of work in a mailbox; times are unix milliseconds, higher priorities come first."""

    entry_id: EntryId
    mailbox_id: MailboxId
    origin: EntryOrigin = always_encoded("external")
    sender_id: str | None = None
    payload: Json = always_encoded(None)
    headers: Headers = msgspec.field(default_factory=dict)
    """Data for the systems around the agent, such as the context of a trace or a tenant."""
    priority: Priority = always_encoded(0)
    dedupe_key: str | None = None
    """The mailbox accepts no second entry with it until this one is purged."""
    generation: Generation = always_encoded(0)
    """The generation of the mailbox when the entry was enqueued."""
    status: EntryStatus = always_encoded("queued")
    available_at: Time = always_encoded(0)
    """When it is due."""
    attempt_count: Attempts = always_encoded(0)
    """How often it was claimed; a release takes one back."""
    last_error: str | None = None
    """The error of the last attempt, or why the entry was ended."""
    last_traceback: str | None = None
    """Where this error was raised, if it came with one."""
    claim_token: str | None = None
    """The token that settles the claim; like the next two fields, None unless it is claimed.

    Tokens of what one holder has claimed and taken in a mailbox begin alike.
    """
    claimed_by: str | None = None
    lease_until: Time | None = None
    """From this time on another worker may claim it."""
    turn: Time | None = None
    """Its turn among the entries of its priority in its mailbox. None: that of `available_at`.

    An entry that was sent without a delay has a turn, and is due at once, whatever the clock says.
    One that waits for its retry and keeps its order has a turn before that time.
    """
    closes_runs: bool = False
    """Whether its active runs are closed when it ends and is not accepted. `send` sets it.

    These are the runs whose `source_mailbox_entry_id` is its id.
    """
    created_at: Time = always_encoded(0)
    updated_at: Time = always_encoded(0)


class MailboxState(Model, frozen=True, kw_only=True):
    """A mailbox's generation; an interrupt raises it and ends the entries of older generations."""

    mailbox_id: MailboxId
    current_generation: Generation = always_encoded(0)
    updated_at: Time = always_encoded(0)
    last_turn: Time = 0
    """The turn of the last entry that was sent to it without a delay."""
    paused_at: Time | None = None
    """When it was paused; None if it is not, and then the next two fields are None, too."""
    paused_until: Time | None = None
    """From this time on claims get its entries again; None: once it is resumed."""
    pause_reason: str | None = None


class Sent(Model, frozen=True, kw_only=True):
    """The result of a send."""

    entry: MailboxEntry
    """The entry that was put, or the one that has the dedupe key."""
    was_known: bool = always_encoded(False)
    """Whether the mailbox had seen the dedupe key: then nothing was written."""


class EntryPage(Page[MailboxEntry], frozen=True, kw_only=True):
    """A page of entries; `total` counts all that match."""


class MailboxPage(Page[MailboxState], frozen=True, kw_only=True):
    """A page of mailboxes' states; `total` counts all."""


class MailboxStats(Model, frozen=True, kw_only=True):
    """The number of entries in each status."""

    queued: Count = always_encoded(0)
    claimed: Count = always_encoded(0)
    accepted: Count = always_encoded(0)
    superseded: Count = always_encoded(0)
    cancelled: Count = always_encoded(0)
    dead_letter: Count = always_encoded(0)


class MailboxRows(Protocol):
    """The rows that commands and queries about mailboxes need."""

    @property
    def entries(self) -> Table[MailboxEntry]:
        """All entries."""
        ...

    @property
    def mailboxes(self) -> Table[MailboxState]:
        """The states of all mailboxes."""
        ...

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        """The entry of the mailbox that has the dedupe key, or None."""
        ...

    def find_unfinished(self, mailbox_id: str) -> Iterable[MailboxEntry]:
        """The queued and claimed entries of the mailbox, in no order."""
        ...

    def find_entries(
        self, mailbox_id: str | None, statuses: Iterable[EntryStatus]
    ) -> Iterable[MailboxEntry]:
        """The entries of a mailbox, or of all, in one of the statuses, in no order."""
        ...

    def count_entries(self, mailbox_id: str | None) -> Mapping[EntryStatus, int]:
        """The number of entries in each status, of a mailbox or of all."""
        ...

    def purge(self, ended_before: int, statuses: Collection[EntryStatus]) -> int:
        """Remove the entries that ended in `statuses` before a time, and return their number."""
        ...


# --- rules ----------------------------------------------------------------------------------------


def is_terminal(entry: MailboxEntry) -> bool:
    """Return whether the entry has ended."""
    return entry.status in TERMINAL


def listing_order(entry: MailboxEntry) -> tuple[int, str]:
    """The order of listings: oldest first, then by id."""
    return entry.created_at, entry.entry_id


def moved(entry: MailboxEntry, status: EntryStatus, now: int, **changes: Any) -> MailboxEntry:
    """The entry in a status in which nobody holds it: its claim ends."""
    return msgspec.structs.replace(
        entry,
        status=status,
        updated_at=now,
        claim_token=None,
        claimed_by=None,
        lease_until=None,
        **changes,
    )


def failed(
    entry: MailboxEntry,
    status: EntryStatus,
    now: int,
    error: str,
    traceback: str | None = None,
    **changes: Any,
) -> MailboxEntry:
    """The same, with the error, or the reason, in `last_error`."""
    return moved(entry, status, now, last_error=error, last_traceback=traceback, **changes)


def put_first_state(rows: MailboxRows, entry: MailboxEntry) -> None:
    """Put the state of a mailbox that has none, at the generation of its first entry."""
    state = MailboxState(
        mailbox_id=entry.mailbox_id,
        current_generation=entry.generation,
        updated_at=entry.updated_at,
    )
    rows.mailboxes.put(entry.mailbox_id, state)


def next_turn(state: MailboxState | None, now: int) -> int:
    """The turn of an entry that is sent at `now`: after all that were sent, whatever the clock."""
    return now if state is None else max(now, later(state.last_turn, 1))


def put_last_turn(rows: MailboxRows, mailbox_id: str, turn: int) -> None:
    """Remember the last turn of a mailbox that has a state."""
    state = rows.mailboxes.get(mailbox_id)
    if state is not None:
        rows.mailboxes.put(mailbox_id, msgspec.structs.replace(state, last_turn=turn))


def has_place_of(entry: MailboxEntry, before: MailboxEntry) -> bool:
    """Return whether an entry was sent to follow another one: it has the turn of that one."""
    return entry.turn is not None and entry.turn == before.turn
