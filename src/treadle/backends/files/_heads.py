"""The first claimable entry of each mailbox, in the order of claims."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import TypeAlias

ClaimOrder: TypeAlias = tuple[int, int, int, str]
"""`claim_order` of an entry; its last item is the entry's id."""


class Heads:
    """A heap of mailboxes, each with its first entry as it was when the mailbox was offered."""

    def __init__(self) -> None:
        self._heap: list[tuple[ClaimOrder, str]] = []
        self._offered: dict[str, ClaimOrder] = {}
        """The item of each mailbox in the heap that is not outdated."""

    def offer(self, head: ClaimOrder, mailbox_id: str) -> None:
        """Add a mailbox, unless it is there with an entry that comes no later."""
        offered = self._offered.get(mailbox_id)
        # An earlier item is left as it is: when it comes up, the head is looked up again.
        if offered is None or head < offered:
            self._offered[mailbox_id] = head
            heappush(self._heap, (head, mailbox_id))

    def take(self) -> Iterator[tuple[ClaimOrder, str]]:
        """Remove mailboxes, best first, as long as they are asked for."""
        while self._heap:
            order, mailbox_id = heappop(self._heap)
            if self._offered.get(mailbox_id) == order:
                del self._offered[mailbox_id]
                yield order, mailbox_id
