"""An index of entries, so that a claim finds what it gets without looking at every entry.

Each mailbox has a heap of its claimable entries in the order of their turns, and one more heap has
the first entry of each mailbox in the order of claims. Mailboxes that a claim has chosen have
such a heap of their own, so that it need not pass over all others. Two heaps wait for the clock:
one has the entries that are due later, one the leases. No item is searched for in a heap to remove
it: an outdated one stays until it comes up, and is skipped then. When most items are outdated, or
when the clock goes back, the heaps are built again.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import islice

from treadle.backends.files._heads import ClaimOrder, Heads
from treadle.core.claims import (
    ClaimRequest,
    TurnOrder,
    claim_order,
    due_time,
    has_live_lease,
    is_claimable,
    is_kept,
    turn_order,
)
from treadle.core.id_ranges import IdRanges, Ids, is_in
from treadle.core.mailbox_pauses import is_paused
from treadle.core.mailboxes import TERMINAL, MailboxEntry, MailboxState
from treadle.errors import CorruptRecord

_CHOICES = 32
"""How many choices of mailboxes have a heap of their own; one that was used long ago loses it."""


class MailboxIndex:
    """An index of entries. Its owner calls `replace` for every change."""

    def __init__(
        self, entries: Mapping[str, MailboxEntry], mailboxes: Mapping[str, MailboxState]
    ) -> None:
        self._entries = entries
        self._mailboxes = mailboxes
        self._now = 0
        self._open: set[str] = set()
        """The entries that have not ended; the others may not be in memory."""
        self._unfinished: dict[str, str | set[str]] = {}
        """A set takes four times the memory of an id, and many mailboxes have one entry."""
        self._claimed: dict[str, set[str]] = {}
        self._kept: dict[str, set[str]] = {}
        """Retries that keep their order; they hold back what is behind them."""
        self._duplicates: dict[tuple[str, str], str] = {}
        self._claimable: dict[str, list[TurnOrder]] = {}
        """Of mailboxes that had several entries at once: many have one, whose turn it is."""
        self._heads: dict[IdRanges | None, Heads] = {None: Heads()}
        """The heads of all mailboxes, and of each choice of them."""
        self._later: list[tuple[int, str]] = []
        self._leases: list[tuple[int, str]] = []
        self._pauses: list[tuple[int, str]] = []
        """The ends of pauses of mailboxes that claims have come upon, each once."""
        self._noted_pauses: set[tuple[int, str]] = set()
        """What is in this heap: a worker may come upon one mailbox again and again."""
        self._pushed = 0
        """How many items were pushed since the heaps were built."""
        for entry in entries.values():
            self._note(entry)
        self._build()

    def replace(self, before: MailboxEntry | None, after: MailboxEntry | None) -> None:
        """Update the index: an entry was added, changed or removed."""
        if before is not None:
            self._forget(before)
        if after is not None:
            self._note(after)
            if after.status not in TERMINAL:
                self._push(after)
        if before is not None and (before.status == "claimed" or is_kept(before)):
            self.offer(before.mailbox_id)  # its other entries may have waited for this one

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> str | None:
        """Return the id of the entry of the mailbox that has the dedupe key, or None."""
        key = mailbox_id, dedupe_key
        entry_id = self._duplicates.get(key)
        return entry_id if entry_id is None or self._has_dedupe_key(entry_id, key) else None

    def unfinished(self, mailbox_id: str) -> set[str]:
        """Return the ids of the mailbox's queued and claimed entries."""
        found = self._unfinished.get(mailbox_id, set())
        return {found} if isinstance(found, str) else found

    def claimed(self, mailbox_id: str) -> list[MailboxEntry]:
        """Return the claimed entries of the mailbox."""
        return [self._entries[entry_id] for entry_id in self._claimed.get(mailbox_id, ())]

    def kept(self, mailbox_id: str) -> list[MailboxEntry]:
        """Return the entries of the mailbox that wait for their retry and keep their order."""
        return [self._entries[entry_id] for entry_id in self._kept.get(mailbox_id, ())]

    def choose(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        """Return the entries that a claim gets, best first, by the rule of `claims.choose`."""
        self._advance(now)
        if request.mailbox_id is not None:
            if not is_in(request.among, request.mailbox_id):
                return []
            head = None if self._is_paused(request.mailbox_id) else self._head(request.mailbox_id)
            return [] if head is None or request.limit < 1 else [head]
        if request.limit < 1:
            return []
        heads = self._heads_of(request.among)
        chosen: list[tuple[ClaimOrder, str]] = []
        for order, mailbox_id in heads.take():
            head = None if self._is_paused(mailbox_id) else self._head(mailbox_id)
            if head is not None and claim_order(head) == order:
                chosen.append((order, mailbox_id))
            elif head is not None:
                heads.offer(claim_order(head), mailbox_id)
            if len(chosen) == request.limit:
                break
        for order, mailbox_id in chosen:  # the caller may not take them
            heads.offer(order, mailbox_id)
        return [self._entries[order[-1]] for order, _ in chosen]

    def _heads_of(self, among: IdRanges | None) -> Heads:
        """Return the heads of some mailboxes; the first time, it looks at all that have entries."""
        heads = self._heads.pop(among, None)
        if heads is None:
            heads = Heads()
            for mailbox_id in self._unfinished:
                if is_in(among, mailbox_id) and (head := self._head(mailbox_id)) is not None:
                    heads.offer(claim_order(head), mailbox_id)
            if len(self._heads) >= _CHOICES:
                del self._heads[next(iter(self._heads))]
        self._heads[among] = heads  # the last one now
        return heads

    def first_waiting(self, mailbox_id: str, number: int, now: int) -> list[MailboxEntry]:
        """Return the first claimable entries of the mailbox, and the retries that hold back others.

        Beside `number` entries there may be as many as are claimed, if their leases have expired.
        """
        self._advance(now)
        number = min(number, len(self._open)) + len(self._claimed.get(mailbox_id, ()))
        retries = [entry for entry in self.kept(mailbox_id) if not is_claimable(entry, now)]
        return [*islice(self._in_turn(mailbox_id), number), *retries]

    def _in_turn(self, mailbox_id: str) -> Iterator[MailboxEntry]:
        """Yield the claimable entries of the mailbox, in the order of their turns."""
        only = self._unfinished.get(mailbox_id)
        if isinstance(only, str):
            if is_claimable(self._entries[only], self._now):
                yield self._entries[only]
            return
        heap = self._claimable.get(mailbox_id, [])
        while heap and not self._is_current(heap[0]):
            heappop(heap)
        # Of a heap, the next item is a child of one of those before it.
        next_ones = [(heap[0], 0)] if heap else []
        last: TurnOrder | None = None
        while next_ones:
            order, position = heappop(next_ones)
            if order != last and self._is_current(order):
                last = order
                yield self._entries[order[-1]]
            for child in (2 * position + 1, 2 * position + 2):
                if child < len(heap):
                    heappush(next_ones, (heap[child], child))

    def next_due(self, now: int, mailboxes: Ids) -> int | None:
        """Return when an entry becomes claimable: `now` if one is, None if none ever does.

        Of several mailboxes it may be too early a time, at which an entry of another one does.
        """
        mailbox_id, among = (mailboxes, None) if isinstance(mailboxes, str) else (None, mailboxes)
        if self.choose(ClaimRequest(consumer="", mailbox_id=mailbox_id, among=among), now):
            return now
        if mailbox_id is not None:
            waiting = (self._entries[entry_id] for entry_id in self.unfinished(mailbox_id))
            times = [due for entry in waiting if (due := due_time(entry)) > now]
            state = self._state_of(mailbox_id)
            if state is not None and state.paused_until is not None and state.paused_until > now:
                times.append(state.paused_until)
            return min(times, default=None)
        self._drop_outdated()
        heaps = (self._later, self._leases, self._pauses)
        return min((heap[0][0] for heap in heaps if heap), default=None)

    def _note(self, entry: MailboxEntry) -> None:
        if entry.dedupe_key is not None:
            self._note_dedupe_key(entry, (entry.mailbox_id, entry.dedupe_key))
        if entry.status not in TERMINAL:
            self._open.add(entry.entry_id)
            self._add_unfinished(entry.mailbox_id, entry.entry_id)
        if entry.status == "claimed":
            self._claimed.setdefault(entry.mailbox_id, set()).add(entry.entry_id)
        if is_kept(entry):
            self._kept.setdefault(entry.mailbox_id, set()).add(entry.entry_id)

    def _add_unfinished(self, mailbox_id: str, entry_id: str) -> None:
        found = self._unfinished.setdefault(mailbox_id, entry_id)
        if isinstance(found, set):
            found.add(entry_id)
        elif found != entry_id:
            self._unfinished[mailbox_id] = {found, entry_id}
            first = self._get(found)
            if first is not None and is_claimable(first, self._now):
                self._add_claimable(first)

    def _note_dedupe_key(self, entry: MailboxEntry, key: tuple[str, str]) -> None:
        known = self._duplicates.setdefault(key, entry.entry_id)
        if known != entry.entry_id and not self._has_dedupe_key(known, key):
            self._duplicates[key] = entry.entry_id

    def _has_dedupe_key(self, entry_id: str, key: tuple[str, str]) -> bool:
        """Return False if another process removed the entry, which was not in memory."""
        try:
            entry = self._entries.get(entry_id)
        except CorruptRecord:  # nobody can say that it is another entry's
            return True
        return entry is not None and (entry.mailbox_id, entry.dedupe_key) == key

    def _get(self, entry_id: str) -> MailboxEntry | None:
        """Return an entry that has not ended, or None."""
        return self._entries[entry_id] if entry_id in self._open else None

    def _forget(self, entry: MailboxEntry) -> None:
        if entry.dedupe_key is not None:
            key = (entry.mailbox_id, entry.dedupe_key)
            if self._duplicates.get(key) == entry.entry_id:
                del self._duplicates[key]
        self._open.discard(entry.entry_id)
        if self._unfinished.get(entry.mailbox_id) == entry.entry_id:
            del self._unfinished[entry.mailbox_id]
        for sets in (self._unfinished, self._claimed, self._kept):
            ids = sets.get(entry.mailbox_id)
            if isinstance(ids, set):
                ids.discard(entry.entry_id)
                if not ids:
                    del sets[entry.mailbox_id]

    def _build(self) -> None:
        # A dictionary keeps the memory of what was removed from it; a copy does not.
        self._unfinished, self._open = dict(self._unfinished), set(self._open)
        self._claimable.clear()
        for among in self._heads:
            self._heads[among] = Heads()
        self._later.clear()
        self._leases.clear()
        self._pauses.clear()
        self._noted_pauses.clear()
        self._pushed = 0
        for mailbox_id in self._unfinished:
            for entry_id in self.unfinished(mailbox_id):
                self._push(self._entries[entry_id])

    def _push(self, entry: MailboxEntry) -> None:
        """Put an unfinished entry on the heap that it belongs to at present."""
        self._pushed += 1
        if is_claimable(entry, self._now):
            if self._unfinished.get(entry.mailbox_id) != entry.entry_id:
                self._add_claimable(entry)
            self.offer(entry.mailbox_id)
        elif entry.status == "queued":
            heappush(self._later, (entry.available_at, entry.entry_id))
        elif entry.lease_until is not None:  # without a lease it is held until it is ended
            heappush(self._leases, (entry.lease_until, entry.entry_id))

    def _add_claimable(self, entry: MailboxEntry) -> None:
        heap = self._claimable.get(entry.mailbox_id)
        if heap is None:
            self._claimable[entry.mailbox_id] = [turn_order(entry)]
        else:
            heappush(heap, turn_order(entry))

    def offer(self, mailbox_id: str) -> None:
        """Put the mailbox's first entry on the heap of heads, unless it is there."""
        head = self._head(mailbox_id)
        if head is not None:
            order = claim_order(head)
            for among, heads in self._heads.items():
                if is_in(among, mailbox_id):
                    heads.offer(order, mailbox_id)

    def _head(self, mailbox_id: str) -> MailboxEntry | None:
        """Return the mailbox's first claimable entry; None if it may give none."""
        only = self._unfinished.get(mailbox_id)
        if isinstance(only, str):
            entry = self._entries[only]
            return entry if is_claimable(entry, self._now) else None
        heap = self._claimable.get(mailbox_id)
        if not heap or (mailbox_id in self._claimed and self._is_held(mailbox_id)):
            return None
        while heap:
            if self._is_current(heap[0]):
                is_held_back = self._is_held_back(mailbox_id, heap[0])
                return None if is_held_back else self._entries[heap[0][-1]]
            heappop(heap)
        del self._claimable[mailbox_id]
        return None

    def _is_current(self, item: TurnOrder) -> bool:
        """Return True unless the item of a heap of claimable entries is outdated."""
        entry = self._get(item[-1])
        if entry is None or not is_claimable(entry, self._now):
            return False
        return turn_order(entry) == item

    def _is_paused(self, mailbox_id: str) -> bool:
        """Return True if the mailbox is paused; it is offered again when the pause ends."""
        state = self._state_of(mailbox_id)
        if state is None or not is_paused(state, self._now):
            return False
        if state.paused_until is not None:
            self._note_pause((state.paused_until, mailbox_id))
        return True

    def _state_of(self, mailbox_id: str) -> MailboxState | None:
        """Return the state of a mailbox; None if it is damaged: a pause is not known then."""
        try:
            return self._mailboxes.get(mailbox_id)
        except CorruptRecord:
            return None

    def _note_pause(self, pause: tuple[int, str]) -> None:
        if pause not in self._noted_pauses:
            self._noted_pauses.add(pause)
            heappush(self._pauses, pause)

    def _pop_pause(self) -> str:
        """Pop the first end of a pause, and return its mailbox."""
        pause = heappop(self._pauses)
        self._noted_pauses.discard(pause)
        return pause[1]

    def _is_held_back(self, mailbox_id: str, order: TurnOrder) -> bool:
        """Return True if a retry that keeps its order, and is not due, comes before."""
        return any(
            turn_order(entry) < order and not is_claimable(entry, self._now)
            for entry in self.kept(mailbox_id)
        )

    def _is_held(self, mailbox_id: str) -> bool:
        """Return True if an entry of the mailbox has a live lease."""
        ids = self._claimed.get(mailbox_id, ())
        return any(has_live_lease(self._entries[entry_id], self._now) for entry_id in ids)

    def _advance(self, now: int) -> None:
        """Set the time, and move what has become due."""
        # Four items for each entry, so that building the heaps costs little per push.
        if now < self._now or self._pushed > 4 * len(self._open) + 10_000:
            self._now = now
            self._build()
            return
        self._now = now
        while self._later and self._later[0][0] <= now:
            self._wake(*heappop(self._later))
        while self._leases and self._leases[0][0] <= now:
            self._wake(*heappop(self._leases))
        while self._pauses and self._pauses[0][0] <= now:
            self.offer(self._pop_pause())

    def _wake(self, due: int, entry_id: str) -> None:
        entry = self._get(entry_id)
        if entry and entry.status not in TERMINAL and due_time(entry) == due:
            self._push(entry)
            self.offer(entry.mailbox_id)

    def _drop_outdated(self) -> None:
        """Pop outdated items until the first of each waiting heap is not."""
        for heap, status in ((self._later, "queued"), (self._leases, "claimed")):
            while heap:
                entry = self._get(heap[0][1])
                if entry and entry.status == status and due_time(entry) == heap[0][0]:
                    break
                heappop(heap)
