"""The part of claims that both databases share.

A claim reads queue heads, and the entries whose leases have expired. If one of them cannot be read,
it must not hide what follows it: its queue gets another head, or its mailbox counts as free, and
the claim looks again (docs/decisions/0025-damaged-records.md).
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from typing import TypeAlias

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change
from treadle.backends.sql._mailbox_writes import head_of, write_entries
from treadle.backends.sql.among import next_due_among
from treadle.backends.sql.program import Program, Read, Row, Statement, writes
from treadle.backends.sql.rows import ReadRow, id_column, read_entry, readable
from treadle.backends.sql.tables import ENTRY_COLUMNS, KEPT, kind_of
from treadle.clock import new_token
from treadle.core.claims import ClaimRequest, choose, claimed, is_claimable, is_kept
from treadle.core.id_ranges import IdRanges, Ids
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import CorruptRecord

Claimed: TypeAlias = tuple[MailboxEntry, ...]
ClaimOutcome: TypeAlias = Claimed | CorruptRecord
"""The entries of a claim; an error if it names an entry that cannot be read."""

_STATUS = ENTRY_COLUMNS.index("status")
_LEASE_UNTIL = ENTRY_COLUMNS.index("lease_until")
_QUEUE_ROWS = 100
"""How many entries are read at a time in search of one that can be read."""


class Candidate(msgspec.Struct, frozen=True):
    """An entry that a claim may take, as a queue head or a mailbox names it."""

    mailbox_id: str
    priority: int | None
    """That of the queue whose head it is; None if it is claimed."""
    kind: int | None
    """That of the queue; see `treadle.backends.sql.tables.kind_of`."""
    entry_id: str | None
    """None: the mailbox has a lease, and no entry of it is claimed."""


class Sieve:
    """Keeps from a claim the candidates that it cannot take, and gets them out of the way."""

    def __init__(self, damage: DamageLog) -> None:
        self._damage = damage
        self._unfit: set[Candidate] = set()
        self._new: list[Candidate] = []
        self._held: set[str] = set()
        """The mailboxes in which an entry that cannot be read may have a live lease."""
        self._ignored: dict[str, set[str]] = {}
        """The claimed entries that cannot be read, by mailbox."""

    @property
    def has_held(self) -> bool:
        """Whether a lease may be live on an entry that cannot be read."""
        return bool(self._held)

    def is_unfit(self, candidate: Candidate) -> bool:
        """Return whether the claim knows that it cannot take this candidate."""
        return candidate in self._unfit or candidate.mailbox_id in self._held

    def sift(
        self, candidates: Iterable[tuple[Candidate, Row | None]], now: int
    ) -> list[MailboxEntry]:
        """The entries of the candidates, without those that are unfit or may be held.

        Args:
            candidates: each with its row of `ENTRY_COLUMNS`, None if there is none.
            now: the time of the claim, in unix milliseconds.
        """
        entries: list[MailboxEntry] = []
        for candidate, row in candidates:
            try:
                entries.append(_read(candidate, row, now))
            except CorruptRecord as error:
                self._damage.note(error)
                if candidate not in self._unfit:
                    self._unfit.add(candidate)
                    self._new.append(candidate)
                    if candidate.priority is None and row and _may_be_held(row, now):
                        self._held.add(candidate.mailbox_id)
        return [entry for entry in entries if entry.mailbox_id not in self._held]

    def clear_the_way(self) -> Program[bool]:
        """Give queues other heads, and mailboxes other leases, instead of what was sifted out.

        The entries themselves stay as they are. Returns whether the claim has to look again.
        """
        new, self._new = self._new, []
        freed: set[str] = set()
        for candidate in new:
            if candidate.priority is not None:
                yield from self._replace_head(candidate)
                continue
            if candidate.mailbox_id in self._held:
                continue
            freed.add(candidate.mailbox_id)
            if candidate.entry_id is not None:
                self._ignored.setdefault(candidate.mailbox_id, set()).add(candidate.entry_id)
        if freed:
            mailboxes = [{"mailbox_id": each} for each in sorted(freed)]
            ignoring = [
                {"mailbox_id": each, "ignored": id_column(self._ignored.get(each, ()))}
                for each in sorted(freed)
            ]
            yield tuple(writes(ignore_claims=ignoring, block_heads=mailboxes))
        return bool(new)

    def _replace_head(self, unfit: Candidate) -> Program[None]:
        """Put the first entry that can be read at the head of a queue."""
        queue = {"mailbox_id": unfit.mailbox_id, "priority": unfit.priority, "kind": unfit.kind}
        first: MailboxEntry | None = None
        offset = 0
        while first is None:
            page = {**queue, "offset": offset, "limit": _QUEUE_ROWS}
            (rows,) = yield (Read("load_queue", page),)
            first = next(iter(readable(read_entry, rows, self._damage)), None)
            if len(rows) < _QUEUE_ROWS:
                break
            offset += _QUEUE_ROWS
        gone = {**queue, "entry_id": unfit.entry_id}
        heads = [head_of(first)] if first is not None else []
        kept = [{"mailbox_id": unfit.mailbox_id}] if unfit.kind == KEPT else []
        yield tuple(
            writes(remove_head=[gone], upsert_head=heads, refresh_kept=kept, block_heads=kept)
        )


def _read(candidate: Candidate, row: Row | None, now: int) -> MailboxEntry:
    """The entry of a candidate.

    Raises:
        CorruptRecord: it cannot be read, or is not what its queue or its mailbox says.
    """
    name = f"mailbox {candidate.mailbox_id!r}"
    if candidate.entry_id is None:
        raise CorruptRecord(name, "it has a lease, and no entry of it is claimed")
    if row is None:
        raise CorruptRecord(name, f"it names entry {candidate.entry_id!r}, which is missing")
    entry = read_entry(row)
    if candidate.priority is None:
        fits = entry.status == "claimed" and entry.lease_until is not None
    else:
        fits = entry.status == "queued" and (is_claimable(entry, now) or is_kept(entry))
        queue = (entry.priority, kind_of(entry))
        fits = fits and queue == (candidate.priority, candidate.kind)
    if entry.mailbox_id != candidate.mailbox_id or not fits:
        reason = f"it names entry {entry.entry_id!r}, which is {entry.status} elsewhere or later"
        raise CorruptRecord(name, reason)
    return entry


def _may_be_held(row: Row, now: int) -> bool:
    """Return whether a claimed entry that cannot be read has a live lease all the same."""
    status, lease_until = row[_STATUS], row[_LEASE_UNTIL]
    return status == "claimed" and isinstance(lease_until, int) and lease_until > now


def choose_named(
    request: ClaimRequest, rows: Iterable[tuple[ReadRow[MailboxEntry], Row]], now: int
) -> list[MailboxEntry]:
    """The entry that a request names, if the claim gets it.

    Args:
        request: names the entry.
        rows: that of the entry, and of what is claimed in its mailbox or may hold it back, with
            their readers.
        now: the time of the claim, in unix milliseconds.

    Raises:
        CorruptRecord: the entry cannot be read.
    """
    entries: dict[str, MailboxEntry] = {}
    for read, row in rows:
        try:
            entry = read(row)
        except CorruptRecord:
            if row[0] == request.entry_id:
                raise
            if _may_be_held(row, now):
                return []
        else:
            entries.setdefault(entry.entry_id, entry)
    return choose(entries.values(), request, now)


def in_turn(requests: Sequence[ClaimRequest]) -> Iterable[list[ClaimRequest]]:
    """Group neighbouring requests whose entries can be chosen together."""
    for (shares, _), group in groupby(requests, _can_share):
        together = list(group)
        yield from [together] if shares else [[request] for request in together]


def _can_share(request: ClaimRequest) -> tuple[bool, IdRanges | None]:
    """Return whether it takes from many mailboxes, at the present, and leaves them held; which."""
    anywhere = request.mailbox_id is None and request.entry_id is None
    shares = anywhere and request.now is None and request.limit > 0 and request.lease_ms > 0
    return shares, request.among


def take(
    requests: Sequence[ClaimRequest], entries: Iterable[MailboxEntry], now: int
) -> tuple[list[Claimed], tuple[Statement, ...]]:
    """Share out claimable entries: those of each request, and the statements that write it."""
    left = iter(entries)
    given: list[Claimed] = []
    changes: list[Change] = []
    for request in requests:
        taken = list(islice(left, max(0, request.limit)))
        held = tuple(claimed(entry, request, new_token(), now) for entry in taken)
        changes += map(_change, taken, held)
        given.append(held)
    return given, tuple(write_entries(changes))


def _change(before: MailboxEntry, after: MailboxEntry) -> Change:
    return Change("entries", before.entry_id, before, after)


def next_due(mailboxes: Sequence[Ids]) -> Program[list[int | None]]:
    """The time at which an entry of these mailboxes may become claimable; None if none waits."""
    times: list[int | None] = []
    simple = [each for each in mailboxes if not isinstance(each, tuple)]
    reads: list[Read] = []
    for mailbox_id in simple:
        if mailbox_id is None:
            reads += (Read("next_ready", {}), Read("next_expiry", {}))
        else:
            reads.append(Read("next_of_mailbox", {"mailbox_id": mailbox_id}))
    answers = iter((yield tuple(reads)) if reads else ())
    for each in mailboxes:
        if isinstance(each, tuple):
            times.append(_first_time((yield from next_due_among(each))))
        elif each is None:
            times.append(_first_time([next(answers)[0][0], next(answers)[0][0]]))
        else:
            times.append(_time_in_mailbox(next(answers)))
    return times


def _first_time(found: Iterable[object]) -> int | None:
    # A damaged one is not an integer. The next claim gets it out of the way.
    return min((time for time in found if isinstance(time, int)), default=None)


def _time_in_mailbox(rows: list[Row]) -> int | None:
    if not rows:
        return None
    *ends, available_at = rows[0]
    held = [end for end in ends if end is not None]
    times = [time for time in (held or [available_at]) if isinstance(time, int)]
    return max(times, default=None)
