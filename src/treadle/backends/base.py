"""The contract of every backend: its guarantees, its capabilities and its methods."""

from collections.abc import Collection
from enum import Enum
from typing import Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec

from treadle.core.claims import ClaimRequest
from treadle.core.commands import Commands, Receipt
from treadle.core.hints import Hint
from treadle.core.id_ranges import IdRanges
from treadle.core.mailboxes import MailboxEntry
from treadle.core.queries import Query, Together

__all__ = [
    "Backend",
    "Capabilities",
    "CarriesLiveValues",
    "ClaimRequest",
    "Durability",
    "GivesHints",
    "Guarantee",
    "JoinsTransactions",
    "LeavesTraces",
    "Listener",
    "LiveListener",
    "Query",
    "ReleasesUnclosed",
    "Together",
]

T = TypeVar("T")

Durability: TypeAlias = Literal["full", "relaxed"]
"""What commits survive: a power failure ("full"), or only the end of a process ("relaxed")."""

NO_STORE = "no store exists there, and create=False"
"""The reason of `StoreUnavailable` when a store is opened that does not exist."""


class Guarantee(Enum):
    """The guarantees of every backend, by number; each check of `treadle.testing` cites one."""

    ALL_OR_NOTHING = 1
    """`commit` applies every command of its batch, in order, or none. When it raises, nothing of
    the batch is visible, now or later."""
    ACKNOWLEDGED_IS_KEPT = 2
    """A write that `commit` or `claim` returned from survives everything that the declared
    capabilities say it survives."""
    ONE_ORDER = 3
    """Commits and claims take effect one after the other. Each sees all earlier ones, by any handle
    in any process, and a read sees the store as it is between two of them."""
    FAILING_COMMAND_IS_NAMED = 4
    """The error names the command in `error.command`. Other batches of the same group commit."""
    ONE_HOLDER = 5
    """A mailbox has at most one holder. `claim` gives at most one entry per mailbox, none from a
    mailbox with a live lease, in the order of `treadle.core.claims.claim_order`, each with a unique
    token. Its holder may take further entries, in their order, under the same lease. An expired
    lease is not extended beside a live one of another holder."""
    FENCE = 6
    """A batch with a `Hold` whose claim was lost, expired or was interrupted changes nothing. Only
    claims of one holder of a mailbox pass it at any time, whichever way the clock was set."""
    VERSIONS_WITHOUT_GAPS = 7
    """A thread's version starts at 0 and rises by one with each append, truncation or save. A write
    that expects another version changes nothing."""
    TIME_IS_GIVEN = 8
    """A command without `now` happens at the backend's clock, read once for the batch."""
    NOTHING_IS_SHARED = 9
    """The caller may change the values it passed or received; the store does not notice."""
    CANCELLATION_IS_SAFE = 10
    """A caller cancelled while waiting leaves its write done or not done, never half, and the
    backend usable."""
    VALUES_ARE_KEPT = 11
    """Values come back exactly; 1 and 1.0 differ. Fields that the model does not know come back in
    `extra`."""
    WAITS_END = 12
    """`wait` returns when an entry is claimable, becomes due or is sent. It may return early, but
    never much later."""
    THREADS_ARE_WHAT_WAS_APPENDED = 13
    """Threads change as `treadle.core.thread_commands` and `treadle.core.thread_edits` say: a known
    message id is skipped, a snapshot replaces the state. `ListDeltas` returns every change since a
    version, or None."""
    RUNS_FOLLOW_THEIR_THREADS = 14
    """Runs change as `treadle.core.runs` and `treadle.core.run_commands` say: appends record them,
    and the first parent wins."""
    ENTRIES_MOVE_BY_RULE = 15
    """Entries change as `treadle.core.mailbox_commands` and `treadle.core.claims` say: a
    settlement needs the token, an ended entry stays as it is, an interrupt supersedes entries of
    older generations."""
    WORK_COMES_IN_ONCE = 16
    """`Enqueue` refuses a known entry id, another generation than the current one, and a dedupe key
    that the mailbox has seen, in this order. `Send` returns the entry of a known dedupe key."""
    LISTINGS_ARE_COMPLETE = 17
    """Listings and pages hold every match once, in order, with the limit clamped to 1..200. Counts
    count everything. Documents are in the order of their keys, compared part by part."""
    DOCUMENTS_CHANGE_BY_RULE = 18
    """Documents change as the commands of `treadle.core.documents` say. A version is not used again
    for its key, even after a removal. At `expires_at` and later a document counts as absent, by the
    time that a command or query brings, or else by the backend's clock."""
    CHANGES_ARE_HINTED = 19
    """A listener gets a hint after every change: in milliseconds if the backend gives hints and
    `notifies`, in seconds otherwise. Hints may come too often, and name too much."""
    ORDER_IS_KEPT = 20
    """What is sent to a mailbox without a delay is due at once, and is claimed in the order in
    which it was sent, whatever the clock does. Behind a retry that keeps its order, nothing of the
    same or a lower priority is claimed until the entry is settled or due."""
    PAUSES_HOLD = 21
    """Nobody claims from a paused mailbox until the pause is over: at its end, or when the mailbox
    is resumed or interrupted. A claim that is held stays held."""
    RUNS_END_WITH_ENTRIES = 22
    """When an entry that was sent ends as a dead letter, cancelled or superseded, its active runs
    are closed in the same commit, with a termination code that says which. So are, by an
    interrupt, the runs that wait in the thread with the mailbox's id, whatever became of their
    entries."""
    EXPLANATIONS_ARE_TRUE = 23
    """`ExplainEntry` names all that keeps an entry from being claimed, as it is at one moment. If
    that is nothing, a claim from the mailbox gets the entry."""
    LIVE_VALUES_COME_AT_MOST_ONCE = 24
    """A follower of a thread gets the live values of each publisher exactly, in their order and
    each at most once; in milliseconds, and from other handles too if the backend `notifies`. A
    follower that does not ask may lose the oldest ones. They are stored nowhere, and change
    nothing."""

    def __str__(self) -> str:
        return f"guarantee {self.value}, {self.name.replace('_', ' ').lower()}"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend can do, as it declares itself; nothing is guessed."""

    durable: bool
    """Acknowledged writes survive the end of the process."""
    shared: bool
    """Several handles, in one process or in many, may use one store at the same time."""
    notifies: bool
    """A wait ends soon after a write of another handle or process; without it, at its timeout."""


class Backend(Protocol):
    """Keeps the data of a store. All methods may be called concurrently."""

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of this backend."""
        ...

    async def open(self) -> None:
        """Open the store; called before any other method."""
        ...

    async def close(self) -> None:
        """Finish the calls in progress and release all resources; may be called twice."""
        ...

    async def commit(self, batch: Commands) -> Receipt:
        """Apply all commands of a checked batch, or none (guarantees 1 to 8, 13 to 16)."""
        ...

    async def claim(self, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
        """Claim due entries, best first (guarantee 5).

        A backend with many writers may leave out a mailbox that another transaction keeps for
        long, and give fewer entries than it might while other claims take theirs.
        """
        ...

    async def wait(
        self, timeout_ms: int, mailbox_id: str | None = None, among: IdRanges | None = None
    ) -> None:
        """Return once an entry may be claimable, or after `timeout_ms` (guarantee 12).

        With `among`, an entry of a mailbox whose id is in one of the ranges.
        """
        ...

    async def read(self, query: Query[T]) -> T:
        """Answer a checked query from one snapshot (guarantees 3, 9, 11, 13 and 17).

        `Together` holds several queries, which have one snapshot.

        Raises:
            NotFound: the query is about the messages or deltas of a thread that does not exist.
        """
        ...


class Listener(Protocol):
    """Listens for what changes in a store, on one event loop."""

    async def next(self, timeout_seconds: float | None = None) -> Hint | None:
        """Return a hint about what has changed; None after `timeout_seconds`.

        The first one is "anything" and comes at once. A hint that was given while nobody asked
        comes later, once however often it was given, and "anything" comes in place of many.

        Raises:
            StoreClosed: the store is closed, or was closed in the meantime.
        """
        ...

    def stop(self) -> None:
        """Listen no longer; may be called twice."""
        ...


@runtime_checkable
class GivesHints(Protocol):
    """A backend that knows what changes, in all processes; other backends are polled."""

    def listen(self, wanted: frozenset[Hint] | None = None) -> Listener:
        """Begin to listen, on the running event loop.

        A hint comes soon after the change that it is about. If hints may have been lost,
        "anything" comes (guarantee 19).

        Args:
            wanted: the hints to listen for, beside "anything"; None listens for all.
        """
        ...


class LiveListener(Protocol):
    """Follows the live values of a thread, on one event loop."""

    async def next(self) -> bytes:
        """Return the JSON of the next value.

        Raises:
            StoreClosed: the store is closed, or was closed in the meantime.
        """
        ...

    def stop(self) -> None:
        """Follow no longer; may be called twice."""
        ...


@runtime_checkable
class CarriesLiveValues(Protocol):
    """A backend that carries live values between its handles (guarantee 24).

    With other backends, live values stay within one store object.
    """

    def publish(self, thread_id: str, value: bytes) -> None:
        """Give a checked value, as JSON, to all who follow the thread, and do not wait for it.

        Raises:
            StoreUnavailable: it cannot be given to others, or the store is open to read only.
        """
        ...

    async def follow_live(self, thread_id: str) -> LiveListener:
        """Begin to follow a thread: the values are those that are published after this call.

        Raises:
            StoreUnavailable: what others publish cannot be heard.
        """
        ...


@runtime_checkable
class JoinsTransactions(Protocol):
    """A backend that can write in a transaction of its user."""

    async def commit_in(self, connection: object, batch: Commands) -> Receipt:
        """Apply a checked batch in the transaction of `connection`, which its owner commits.

        If it raises, the transaction is as it was before.
        """
        ...


@runtime_checkable
class ReleasesUnclosed(Protocol):
    """A backend with threads, files or connections, which a store may drop without closing it."""

    @property
    def where(self) -> str:
        """The location of the store, without passwords."""
        ...

    def release(self) -> None:
        """Begin to close, and do not wait for it.

        The garbage collector calls it, on any thread and at any moment.
        """
        ...


@runtime_checkable
class LeavesTraces(Protocol):
    """A backend whose files keep, for a while, what was deleted."""

    async def remove_traces(self) -> Collection[str]:
        """Remove from the store's files what was deleted before this call.

        Returns the names of damaged records that keep their files from being cleaned.

        Raises:
            StoreUnavailable: somebody else has the files in use for too long; try it again.
        """
        ...
