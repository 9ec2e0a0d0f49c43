"""The contract every backend keeps: what it guarantees, what it declares, and its methods."""

from enum import Enum
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from treadle.core.commands import Commands, Receipt
from treadle.core.mailboxes import (
    ClaimRequest,
    EntryPage,
    EntryQuery,
    MailboxEntry,
    MailboxPage,
    MailboxQuery,
    MailboxState,
    MailboxStats,
)
from treadle.core.messages import MessagePage
from treadle.core.runs import RunPage, RunQuery, RunRecord
from treadle.core.threads import MessageQuery, ThreadDelta, ThreadHead, ThreadPage, ThreadQuery

Durability: TypeAlias = Literal["full", "relaxed"]
"""What survives: a power failure ("full"), or the end of a process only ("relaxed")."""

NO_STORE = "there is none, and it was not to be made"
"""What is told of a store that is not there and is opened without being created."""


class Guarantee(Enum):
    """What every backend guarantees, by number; each check of `treadle.testing` cites one."""

    ALL_OR_NOTHING = 1
    """`commit` applies every command of its batch, in order, or none; when it raises, nothing of
    the batch can be seen, now or later."""
    ACKNOWLEDGED_IS_KEPT = 2
    """What `commit` or `claim` returned survives what the declared capabilities say it survives."""
    ONE_ORDER = 3
    """Commits and claims take effect one after the other; each sees all earlier ones, whichever
    handle or process made them, and a read sees the store as it is between two of them."""
    FAILING_COMMAND_IS_NAMED = 4
    """The error carries the command in `error.command`; others that were committed in the same
    group are not touched."""
    ONE_HOLDER = 5
    """`claim` gives at most one entry per mailbox, none from a mailbox with a live lease, in the
    order of `treadle.core.mailboxes.claim_order`, each with a token nobody else has; a lease that
    ran out is not extended beside a live one."""
    FENCE = 6
    """A batch with a `Hold` whose claim was lost, ran out or was interrupted changes nothing."""
    VERSIONS_WITHOUT_GAPS = 7
    """A thread's version starts at 0 and rises by one with each append or save; an append that
    expects another version changes nothing."""
    TIME_IS_GIVEN = 8
    """A command without `now` happens at the backend's clock, read once for the batch."""
    NOTHING_IS_SHARED = 9
    """What was given, and what comes back, may be changed by the caller without effect."""
    CANCELLATION_IS_SAFE = 10
    """A caller cancelled while waiting leaves its write done or not done, never half, and the
    backend usable."""
    VALUES_ARE_KEPT = 11
    """Values come back exactly, 1 and 1.0 apart; what a document holds beyond the model comes back
    in `extra`."""
    WAITS_END = 12
    """`wait` returns when something is claimable, falls due or is sent; it may return early, never
    much later."""
    THREADS_ARE_WHAT_WAS_APPENDED = 13
    """Threads change as `treadle.core.threads` says: a known message id is skipped, a snapshot
    replaces the state; `list_deltas` tells every change since a version, or that it cannot."""
    RUNS_FOLLOW_THEIR_THREADS = 14
    """Runs change as `treadle.core.runs` says: recorded by appends, the first parent wins."""
    ENTRIES_MOVE_BY_RULE = 15
    """Entries change as the transitions of `treadle.core.mailboxes` say: what settles needs the
    token, what ends leaves alone what has ended, an interrupt supersedes what is older."""
    WORK_COMES_IN_ONCE = 16
    """A known entry id, a dedupe key that the mailbox has seen and another generation than the
    current one are refused; `Send` answers a known dedupe key with the entry that is there."""
    LISTINGS_ARE_COMPLETE = 17
    """Listings and pages hold all that matches, once, in order, with the limit clamped to 1..200;
    counts count everything."""

    def __str__(self) -> str:
        return f"guarantee {self.value}, {self.name.replace('_', ' ').lower()}"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend declares of itself; nothing is guessed."""

    durable: bool
    """What was acknowledged survives the end of the process."""
    shared: bool
    """Several handles, in one process or many, may use one store at a time."""
    notifies: bool
    """A wait ends soon after what another handle or process did; without it, at its timeout."""


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

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none (guarantees 1 to 8, 13 to 16)."""
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

    async def list_mailboxes(self, query: MailboxQuery) -> MailboxPage:
        """A page of mailboxes' states, in the order of their ids."""
        ...

    async def list_entries(self, query: EntryQuery) -> EntryPage:
        """A page of entries, oldest first."""
        ...

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        """How many entries there are in each status, in one mailbox or in all."""
        ...


@runtime_checkable
class JoinsTransactions(Protocol):
    """A backend that can write in a transaction of its user's."""

    async def commit_in(self, connection: object, batch: Commands) -> Receipt:
        """Apply a checked batch in the transaction of `connection`, which its owner commits.

        If it raises, the transaction is as it was before.
        """
        ...
