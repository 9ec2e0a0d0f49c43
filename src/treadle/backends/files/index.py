"""What a claim gets, known without looking at every entry.

Each mailbox has a heap of its claimable entries, and there is one heap of the mailboxes' heads. Two
more heaps wait for the clock: entries that are not due yet, and leases that have not run out. Items
are never searched for and taken out of a heap. They are left there, and passed over when they come
up and are no longer true; when most are not, the heaps are built anew. A clock that goes back
makes them anew too.
"""

from collections.abc import Mapping
from heapq import heappop, heappush

from treadle.core.claims import ClaimRequest, claim_order, due_time, has_live_lease, is_claimable
from treadle.core.mailboxes import MailboxEntry, is_terminal

_Order = tuple[int, int, int, str]


class MailboxIndex:
    """An index of entries, told of every change by `replace`."""

    def __init__(self, entries: Mapping[str, MailboxEntry]) -> None:
        self._entries = entries
        self._now = 0
        self._count = 0
        self._unfinished: dict[str, set[str]] = {}
        self._claimed: dict[str, set[str]] = {}
        self._duplicates: dict[tuple[str, str], str] = {}
        for entry in entries.values():
            self._note(entry)
        self._build()

    def replace(self, before: MailboxEntry | None, after: MailboxEntry | None) -> None:
        """An entry has come, changed or gone."""
        if before is not None:
            self._forget(before)
        if after is not None:
            self._note(after)
            self._push(after)
        if before is not None and before.status == "claimed":
            self._offer(before.mailbox_id)  # its other entries may be waiting for this lease

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> str | None:
        """The id of the entry through which the mailbox has seen `dedupe_key`."""
        return self._duplicates.get((mailbox_id, dedupe_key))

    def unfinished(self, mailbox_id: str) -> set[str]:
        """The ids of the mailbox's entries that have not ended."""
        return self._unfinished.get(mailbox_id, set())

    def claimed(self, mailbox_id: str) -> list[MailboxEntry]:
        """The mailbox's entries that are claimed."""
        return [self._entries[entry_id] for entry_id in self._claimed.get(mailbox_id, ())]

    def is_held(self, mailbox_id: str, now: int) -> bool:
        """Whether an entry of the mailbox has a live lease."""
        return any(has_live_lease(entry, now) for entry in self.claimed(mailbox_id))

    def choose(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        """The entries a claim gets, best first: the rule is `treadle.core.mailboxes.choose`."""
        self._advance(now)
        if request.mailbox_id is not None:
            head = self._head(request.mailbox_id)
            return [] if head is None or request.limit < 1 else [head]
        chosen: dict[str, MailboxEntry] = {}
        while len(chosen) < request.limit and self._heads:
            order, mailbox_id = heappop(self._heads)
            if self._offered.get(mailbox_id) != order:
                continue
            del self._offered[mailbox_id]
            head = self._head(mailbox_id)
            if head is None:
                continue
            if claim_order(head) == order:
                chosen[mailbox_id] = head
            else:
                self._offer(mailbox_id)
        for mailbox_id in chosen:  # whoever asked may not take them
            self._offer(mailbox_id)
        return list(chosen.values())

    def next_due(self, now: int, mailbox_id: str | None) -> int | None:
        """When something may become claimable: `now` if it is, None if nothing waits for time."""
        if self.choose(ClaimRequest(consumer="", mailbox_id=mailbox_id), now):
            return now
        if mailbox_id is not None:
            waiting = (self._entries[entry_id] for entry_id in self.unfinished(mailbox_id))
            times = [due for entry in waiting if (due := due_time(entry)) > now]
            return min(times, default=None)
        self._drop_untrue()
        return min((heap[0][0] for heap in (self._later, self._leases) if heap), default=None)

    def _note(self, entry: MailboxEntry) -> None:
        if entry.dedupe_key is not None:
            self._duplicates.setdefault((entry.mailbox_id, entry.dedupe_key), entry.entry_id)
        if not is_terminal(entry):
            self._count += 1
            self._unfinished.setdefault(entry.mailbox_id, set()).add(entry.entry_id)
        if entry.status == "claimed":
            self._claimed.setdefault(entry.mailbox_id, set()).add(entry.entry_id)

    def _forget(self, entry: MailboxEntry) -> None:
        if entry.dedupe_key is not None:
            key = (entry.mailbox_id, entry.dedupe_key)
            if self._duplicates.get(key) == entry.entry_id:
                del self._duplicates[key]
        if not is_terminal(entry):
            self._count -= 1
        for sets in (self._unfinished, self._claimed):
            ids = sets.get(entry.mailbox_id)
            if ids is not None:
                ids.discard(entry.entry_id)
                if not ids:
                    del sets[entry.mailbox_id]

    def _build(self) -> None:
        self._claimable: dict[str, list[_Order]] = {}
        self._heads: list[tuple[_Order, str]] = []
        self._offered: dict[str, _Order] = {}
        self._later: list[tuple[int, str]] = []
        self._leases: list[tuple[int, str]] = []
        self._pushed = 0
        for ids in self._unfinished.values():
            for entry_id in ids:
                self._push(self._entries[entry_id])

    def _push(self, entry: MailboxEntry) -> None:
        """Put an entry where its time will find it."""
        if is_terminal(entry):
            return
        self._pushed += 1
        if is_claimable(entry, self._now):
            heappush(self._claimable.setdefault(entry.mailbox_id, []), claim_order(entry))
            self._offer(entry.mailbox_id)
        elif entry.status == "queued":
            heappush(self._later, (entry.available_at, entry.entry_id))
        else:
            heappush(self._leases, (due_time(entry), entry.entry_id))

    def _offer(self, mailbox_id: str) -> None:
        """See that a mailbox stands among the heads, in its head's place or an earlier one."""
        head = self._head(mailbox_id)
        if head is None:
            return
        order, offered = claim_order(head), self._offered.get(mailbox_id)
        if offered is None or order < offered:
            self._offered[mailbox_id] = order
            heappush(self._heads, (order, mailbox_id))

    def _head(self, mailbox_id: str) -> MailboxEntry | None:
        """The mailbox's best claimable entry; None if there is none, or somebody holds a lease."""
        heap = self._claimable.get(mailbox_id)
        if not heap or self.is_held(mailbox_id, self._now):
            return None
        while heap:
            entry = self._entries.get(heap[0][-1])
            if entry and is_claimable(entry, self._now) and claim_order(entry) == heap[0]:
                return entry
            heappop(heap)
        del self._claimable[mailbox_id]
        return None

    def _advance(self, now: int) -> None:
        """Let the clock stand at `now`."""
        if now < self._now or self._pushed > 4 * self._count + 10_000:
            self._now = now
            self._build()
            return
        self._now = now
        while self._later and self._later[0][0] <= now:
            self._wake(*heappop(self._later))
        while self._leases and self._leases[0][0] <= now:
            self._wake(*heappop(self._leases))

    def _wake(self, due: int, entry_id: str) -> None:
        entry = self._entries.get(entry_id)
        if entry is not None and not is_terminal(entry) and due_time(entry) == due:
            self._push(entry)
            self._offer(entry.mailbox_id)

    def _drop_untrue(self) -> None:
        """See that the next due time and the next lease are true ones."""
        for heap, status in ((self._later, "queued"), (self._leases, "claimed")):
            while heap:
                entry = self._entries.get(heap[0][1])
                if entry and entry.status == status and due_time(entry) == heap[0][0]:
                    break
                heappop(heap)
