"""The contract every backend keeps; the conformance suite cites its guarantees by number.

1.  **All or nothing.** `commit` applies every command of its batch, in order, or none; when it
    raises, nothing of the batch can be seen, now or later.
2.  **Acknowledged is kept.** What `commit` or `claim` returned survives what the backend's
    declared durability says it survives.
3.  **One order.** Commits and claims take effect one after the other; each sees all earlier ones,
    whichever process made them.
4.  **A failing command names itself.** The error carries the command in `error.command`; others
    that were committed in the same group are not touched.
5.  **One holder.** `claim` gives at most one entry per mailbox, none from a mailbox with a live
    lease, in the order of `weft.core.mailboxes.claim_order`, each with a token nobody else has.
6.  **The fence.** A batch with a `Hold` whose claim was lost, ran out or was interrupted changes
    nothing.
7.  **Versions without gaps.** A thread's version rises by one with each append or save.
8.  **Time.** A command without `now` happens at the backend's clock, read once for the batch.
9.  **Nothing is shared.** Values that come back may be changed by the caller without effect.
10. **Cancellation.** A caller cancelled while waiting leaves its write done or not done, never
    half, and the backend usable.
11. **Unknown fields stay.** What a document holds beyond the model comes back in `extra`.
12. **Wake-ups.** `wait` returns when something is claimable, falls due or is sent, by
    whichever process; it may return early, never much later.

"""

from typing import Protocol

import msgspec

from weft.core.commands import Batch, Receipt
from weft.core.mailboxes import (
    ClaimRequest,
    EntryPage,
    EntryQuery,
    MailboxEntry,
    MailboxState,
    MailboxStats,
)
from weft.core.messages import MessagePage
from weft.core.runs import RunPage, RunQuery, RunRecord
from weft.core.threads import MessageQuery, ThreadDelta, ThreadHead, ThreadPage, ThreadQuery


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend declares of itself; nothing is guessed."""

    durable: bool
    """What was acknowledged survives the end of the process."""
    shared: bool
    """Several processes may use one store at a time."""


class Backend(Protocol):
    """Where a store keeps its data. All methods may be called concurrently."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend declares of itself."""
        ...

    async def open(self) -> None:
        """Get ready; called once, before anything else."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of everything; may be called twice."""
        ...

    async def commit(self, batch: Batch) -> Receipt:
        """Apply all commands of a checked batch, or none (guarantees 1 to 4, 6 to 8)."""
        ...

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Take due entries, best first (guarantee 5)."""
        ...

    async def wait(self, timeout_ms: int, mailbox_id: str | None = None) -> None:
        """Return once something may be claimable, or after `timeout_ms` (guarantee 12)."""
        ...

    async def load_thread(self, thread_id: str) -> ThreadHead | None:
        """A thread as a whole, or None."""
        ...

    async def list_messages(self, query: MessageQuery) -> MessagePage:
        """A page of a thread's messages; raises `NotFound` without the thread."""
        ...

    async def count_messages(self, thread_id: str) -> int:
        """How many messages a thread has; raises `NotFound` without the thread."""
        ...

    async def list_threads(self, query: ThreadQuery) -> ThreadPage:
        """A page of thread ids, in order."""
        ...

    async def list_deltas(
        self, thread_id: str, after_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """What happened to a thread since `after_version`; None if that is not known any more."""
        ...

    async def load_run(self, run_id: str) -> RunRecord | None:
        """A run, or None."""
        ...

    async def list_runs(self, query: RunQuery) -> RunPage:
        """A page of runs, oldest first."""
        ...

    async def find_active_run(self, thread_id: str) -> RunRecord | None:
        """The newest run of a thread that is not done, or None."""
        ...

    async def load_entry(self, entry_id: str) -> MailboxEntry | None:
        """A mailbox entry, or None."""
        ...

    async def load_mailbox(self, mailbox_id: str) -> MailboxState | None:
        """A mailbox's state, or None."""
        ...

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        """A page of entries, oldest first."""
        ...

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        """How many entries there are in each status, in one mailbox or in all."""
        ...
