"""Threads: a conversation with its state, and how a change set is applied to it."""

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.ids import OptionalRunId, RunId, ThreadId
from treadle.core.limits import Count, Length, Time, Version, next_number
from treadle.core.message_times import MessageTimes, grown, renewed
from treadle.core.messages import Message, StoredMessage, new_messages
from treadle.core.pages import Page
from treadle.core.patches import TrackedPatch, check_paths
from treadle.core.patching import apply_in_slices, completed
from treadle.core.rows import Table
from treadle.core.runs import RunMeta, RunRows
from treadle.errors import InvalidValue, NotFound, PatchError, VersionConflict, shorten

Reason = Literal["UserMessage", "AssistantTurnCommitted", "ToolResultsCommitted", "RunFinished"]
"""Why a change set was made: for its readers; no rule depends on it."""


_KEYS_OF_THE_STORE = {
    "_version": "the store counts versions itself",
    "_message_times": "the store notes the times of messages itself",
}


class ThreadMetadata(SortedModel, frozen=True, kw_only=True):
    """Metadata of a thread; times are unix milliseconds, further keys are in `extra`."""

    created_at: Time | None = None
    updated_at: Time | None = None
    version: Version | None = None
    """Kept for programs of tirea; the store's version is `ThreadHead.version`."""
    version_timestamp: Time | None = None


SET_BY_THE_STORE = frozenset(ThreadMetadata.__struct_fields__) - {"extra"}
"""The keys of the metadata that a caller cannot change."""
FurtherKeys: TypeAlias = Annotated[
    dict[str, Json],
    Meta(extra_json_schema={"propertyNames": {"not": {"enum": sorted(SET_BY_THE_STORE)}}}),
]
"""The other keys of the metadata, with their values."""


class Thread(SortedModel, frozen=True, kw_only=True):
    """A conversation: its messages, and a JSON state that patches change."""

    id: ThreadId
    resource_id: str | None = None
    """The owner, such as a user."""
    parent_thread_id: ThreadId | None = None
    messages: tuple[Message, ...] = always_encoded(())
    state: Json = always_encoded(None)
    """The state before the patches; `rebuild_state` applies them."""
    patches: tuple[TrackedPatch, ...] = always_encoded(())
    """Patches that are not folded into the state, in their order."""
    metadata: ThreadMetadata = always_encoded(ThreadMetadata())

    def rebuild_state(self) -> Json:
        """Return the state with all patches applied.

        It takes time in proportion to the state and the patches, and at most about two seconds
        more. On an event loop, call it with `asyncio.to_thread` if there are many patches.

        Raises:
            PatchError: a patch does not fit, or the patches take too much work: see
                `apply_patches`. A change set with a `snapshot` replaces state and patches.
        """
        return completed(state_in_slices(self))

    def replay_to(self, index: int) -> Json:
        """Return the state with the patches up to and including `index` applied.

        Raises:
            InvalidValue: there is no patch `index`.
            PatchError: as for `rebuild_state`.
        """
        if not 0 <= index < len(self.patches):
            raise InvalidValue(
                "index", f"{shorten(index)} is not one of {len(self.patches)} patches"
            )
        return completed(state_in_slices(self, index + 1))

    def snapshot(self) -> "Thread":
        """Return the thread with its patches folded into the state.

        Raises:
            PatchError: as for `rebuild_state`.
        """
        return msgspec.structs.replace(self, state=self.rebuild_state(), patches=())

    def needs_snapshot(self, threshold: int) -> bool:
        """Return whether there are at least `threshold` patches."""
        return len(self.patches) >= threshold


class ThreadHead(SortedModel, frozen=True, kw_only=True):
    """A thread and its version: 0 when created, one more after each append, truncation or save."""

    thread: Thread
    version: Version
    message_times: MessageTimes = ()
    """When each message was committed (unix milliseconds), in their order. None: it is not known;
    the unknown times at the end are left out."""


class ThreadChangeSet(SortedModel, frozen=True, kw_only=True):
    """The changes of one step to a thread, and to its run (no run if `run_id` is empty)."""

    run_id: OptionalRunId = always_encoded("")
    parent_run_id: RunId | None = None
    run_meta: RunMeta | None = None
    """Creates or updates the run's record. Without it, only the time of a known run changes.

    It has no effect without `run_id`.
    """
    reason: Reason = always_encoded("UserMessage")
    messages: tuple[Message, ...] = always_encoded(())
    patches: tuple[TrackedPatch, ...] = always_encoded(())
    actions: tuple[Json, ...] = ()
    """Free-form data for readers of `Threads.list_deltas`; the thread does not keep it."""
    snapshot: Json | None = None
    """A new state that replaces the old one and its patches; None keeps them."""
    truncated_to: Length | None = None
    """How many of the first messages stayed; None unless it is a truncation."""

    if TYPE_CHECKING:  # lists are accepted too, and stored as tuples

        def __init__(
            self,
            *,
            run_id: str = "",
            parent_run_id: str | None = None,
            run_meta: RunMeta | None = None,
            reason: Reason = "UserMessage",
            messages: Sequence[Message] = (),
            patches: Sequence[TrackedPatch] = (),
            actions: Sequence[Json] = (),
            snapshot: Json | None = None,
            truncated_to: int | None = None,
            extra: dict[str, Json] = ...,
        ) -> None: ...

    def apply_to(self, thread: Thread, messages: tuple[Message, ...] | None = None) -> Thread:
        """Return the thread after these changes.

        A snapshot replaces the state and clears the patches. Then messages are cut off, and others
        added, except those whose id the thread already has. Then patches are added.

        Args:
            thread: the thread before.
            messages: the messages to add, if the caller knows which ones the thread already has.
        """
        kept = thread.messages
        if self.truncated_to is not None:
            kept = kept[: self.truncated_to]
        if messages is None:
            known = (message.id for message in kept if message.id is not None)
            messages = new_messages(self.messages, known)
        changes: dict[str, Any] = {}
        patches = thread.patches
        if self.snapshot is not None:
            changes["state"], patches = self.snapshot, ()
        if messages or kept is not thread.messages:
            changes["messages"] = kept + messages
        if patches is not thread.patches or self.patches:
            changes["patches"] = patches + self.patches
        return msgspec.structs.replace(thread, **changes) if changes else thread


class ThreadDelta(SortedModel, frozen=True, kw_only=True):
    """The change set that led to `version`, and when it was committed (unix milliseconds).

    It is as it was given. Messages that the thread had already, by their ids, are in it and were
    not added, whatever their content: pass over those that you have. An append whose messages were
    all skipped is a version, too.
    """

    version: Version
    committed_at: Time
    changes: ThreadChangeSet


class Committed(SortedModel, frozen=True, kw_only=True):
    """The result of a write to a thread, which is now at `version`."""

    version: Version
    skipped: tuple[str, ...] = ()
    """Ids of appended messages that the thread already had; these were not added again."""


class ThreadPage(Page[str], frozen=True, kw_only=True):
    """A page of thread ids; `total` counts all that match."""


class Step(msgspec.Struct, frozen=True, eq=False):
    """A change set that a thread got, and what became of the thread's messages."""

    changes: ThreadChangeSet
    kept: Count
    """How many of the thread's first messages stayed."""
    removed: tuple[StoredMessage, ...] = ()
    """The messages that were removed, in their order."""


class History(msgspec.Struct, frozen=True, eq=False):
    """A thread's last delta and those before it: a list that grows without being copied."""

    delta: ThreadDelta
    added: tuple[Message, ...]
    """The messages that the thread got: those of the delta that it did not have already."""
    kept: int
    """How many of the thread's first messages stayed."""
    removed: tuple[StoredMessage, ...]
    """The messages that were removed."""
    before: "History | None"


class StoredThread(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The row of a thread: its head, and the deltas since it was created, saved or loaded."""

    head: ThreadHead
    history: History | None = None
    origin: object = msgspec.field(default_factory=object)
    """The creation, save or load that the deltas start from; compared by identity."""
    unloaded: int = 0
    """How many messages come before those of `head`: a database does not load them."""

    @property
    def message_count(self) -> int:
        """How many messages the thread has."""
        return self.unloaded + len(self.head.thread.messages)


class ThreadRows(RunRows, Protocol):
    """The rows that commands and queries about threads need."""

    @property
    def threads(self) -> Table[StoredThread]:
        """All threads. A database loads only the head of a thread, without its messages."""
        ...

    def find_known_messages(self, thread_id: str, message_ids: Iterable[str]) -> set[str]:
        """Return those of `message_ids` that the thread already has."""
        ...

    def find_whole(self, thread_id: str) -> ThreadHead:
        """A thread as a whole; a database loads those of the read set."""
        ...

    def find_messages(self, thread_id: str) -> tuple[Sequence[Message], MessageTimes]:
        """The messages of a thread, and their times, for a page of them."""
        ...

    def find_messages_from(self, thread_id: str, position: int) -> tuple[StoredMessage, ...]:
        """The messages of a thread from a position; a database loads those of the read set."""
        ...

    def find_thread_ids(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[str]:
        """The ids of the threads with this owner and this parent; None matches all."""
        ...

    def find_deltas(
        self, thread_id: str, after_version: int, until_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """The deltas of a thread between two versions; None if not all since the first are known.

        The second version is included, and may be beyond the present one.
        """
        ...

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        """The last steps of a thread, oldest first, as far back as they are all known.

        A database loads those of the read set. Their change sets may lack their messages.
        """
        ...


# --- rules ----------------------------------------------------------------------------------------


def created(thread: Thread, now: int) -> ThreadHead:
    """A new thread at version 0; a `created_at` that it has already is kept."""
    times = (now,) * len(thread.messages)
    return ThreadHead(thread=_touched(thread, now), version=0, message_times=times)


def saved(
    thread: Thread, before: ThreadHead | None, now: int, messages: Iterable[StoredMessage] = ()
) -> ThreadHead:
    """The thread after it was replaced as a whole: at the next version, or at 0 if it is new.

    `messages` are those that it had: one that stays as it is keeps its time.
    """
    version = _next_version(before) if before else 0
    times = renewed(thread.messages, messages, now)
    return ThreadHead(thread=_touched(thread, now), version=version, message_times=times)


def appended(
    head: ThreadHead,
    changes: ThreadChangeSet,
    now: int,
    messages: tuple[Message, ...] | None = None,
) -> ThreadHead:
    """The thread after `changes`, at the next version.

    For `messages`, see `ThreadChangeSet.apply_to`.
    """
    thread = changes.apply_to(head.thread, messages)
    kept = len(head.thread.messages[: changes.truncated_to])
    times = grown(head.message_times, kept, len(thread.messages) - kept, now)
    metadata = msgspec.structs.replace(thread.metadata, updated_at=now)
    thread = msgspec.structs.replace(thread, metadata=metadata)
    return ThreadHead(thread=thread, version=_next_version(head), message_times=times)


def extended(
    stored: StoredThread,
    changes: ThreadChangeSet,
    now: int,
    added: tuple[Message, ...] = (),
    removed: tuple[StoredMessage, ...] = (),
) -> StoredThread:
    """The thread and its history with one more delta."""
    unloaded, cut = stored.unloaded, changes
    if changes.truncated_to is not None:  # the head begins after those that are not loaded
        here = max(changes.truncated_to - unloaded, 0)
        cut = msgspec.structs.replace(changes, truncated_to=here)
        unloaded = min(unloaded, changes.truncated_to)
    head = appended(stored.head, cut, now, added)
    delta = ThreadDelta(version=head.version, committed_at=now, changes=changes)
    kept = stored.message_count - len(removed)
    history = History(delta, added, kept, removed, stored.history)
    return StoredThread(head, history, stored.origin, unloaded)


def all_history(history: History | None) -> tuple[History, ...]:
    """The links of a history, oldest first."""
    links: list[History] = []
    while history is not None:
        links.append(history)
        history = history.before
    return tuple(reversed(links))


def history_since(
    history: History | None, after_version: int, version: int
) -> tuple[History, ...] | None:
    """The last `version - after_version` links of a history, oldest first, or None."""
    if not 0 <= after_version <= version:
        return None
    links: list[History] = []
    while len(links) < version - after_version:
        if history is None:
            return None
        links.append(history)
        history = history.before
    return tuple(reversed(links))


def step_of(link: History) -> Step:
    """The step that a link of a history stands for."""
    return Step(link.delta.changes, link.kept, link.removed)


def _next_version(head: ThreadHead) -> int:
    return next_number(head.version, f"the version of thread {head.thread.id!r}")


def _touched(thread: Thread, now: int) -> Thread:
    metadata = msgspec.structs.replace(
        thread.metadata,
        created_at=now if thread.metadata.created_at is None else thread.metadata.created_at,
        updated_at=now,
    )
    return msgspec.structs.replace(thread, metadata=metadata)


def require_thread(rows: ThreadRows, thread_id: str, expected: int | None = None) -> StoredThread:
    """Return the row of a thread.

    Raises:
        NotFound: the thread does not exist.
        VersionConflict: it is at another version than `expected`.
    """
    stored = rows.threads.get(thread_id)
    if stored is None:
        raise NotFound("thread", thread_id)
    if expected is not None and expected != stored.head.version:
        raise VersionConflict("thread", thread_id, expected, stored.head.version)
    return stored


def state_in_slices(thread: Thread, count: int | None = None) -> Generator[None, None, Json]:
    """Rebuild the state of a thread, and yield after each slice of the work.

    Args:
        thread: the thread.
        count: how many of the first patches are applied; None: all.

    Raises:
        PatchError: as for `Thread.rebuild_state`.
    """
    patches = (tracked.patch for tracked in thread.patches[:count])
    try:
        return (yield from apply_in_slices(thread.state, patches))
    except PatchError as error:
        error.add_note(
            f"These are patches of thread {shorten(thread.id)}. Its state cannot be read until "
            "somebody appends a ThreadChangeSet(snapshot=...), which replaces the patches."
        )
        raise


def check_thread(thread: Thread, where: str) -> None:
    """Refuse what `check_metadata` does, and a patch with too long a path.

    Raises:
        InvalidValue: as `check_metadata`, or a path is too long.
    """
    check_metadata(thread, where)
    check_paths(thread.patches, f"{where}.patches")


def check_metadata(thread: Thread, where: str) -> None:
    """Refuse a thread that brings a version or times of messages of its own.

    Raises:
        InvalidValue: it does; `where` says where the thread is.
    """
    # The files backend writes them beside the thread's own fields under these keys.
    for key, reason in _KEYS_OF_THE_STORE.items():
        if key in thread.extra:
            raise InvalidValue(f"{where}.extra.{key}", f"{reason}; leave it out")
