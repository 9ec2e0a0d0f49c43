"""Threads: a conversation with its state, and how a change set is applied to it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.commands import Command, TimedCommand
from treadle.core.ids import OptionalRunId, RunId, ThreadId
from treadle.core.limits import Length, Time, Version, next_number
from treadle.core.message_times import MessageTimes, grown, renewed
from treadle.core.messages import Message, StoredMessage, new_messages
from treadle.core.pages import Page
from treadle.core.patches import TrackedPatch, apply_patches
from treadle.core.read_set import ReadSet
from treadle.core.rows import Table
from treadle.core.runs import RunMeta, RunRows, record_run
from treadle.errors import AlreadyExists, InvalidValue, NotFound, VersionConflict, shorten

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
    """Kept for programs of the reference; the store's version is `ThreadHead.version`."""
    version_timestamp: Time | None = None


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

        Raises:
            PatchError: a patch does not fit.
        """
        return apply_patches(self.state, (tracked.patch for tracked in self.patches))

    def replay_to(self, index: int) -> Json:
        """Return the state with the patches up to and including `index` applied.

        Raises:
            InvalidValue: there is no patch `index`.
            PatchError: a patch does not fit.
        """
        if not 0 <= index < len(self.patches):
            raise InvalidValue(
                "index", f"{shorten(index)} is not one of {len(self.patches)} patches"
            )
        return apply_patches(self.state, (item.patch for item in self.patches[: index + 1]))

    def snapshot(self) -> "Thread":
        """Return the thread with its patches folded into the state.

        Raises:
            PatchError: a patch does not fit.
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
    """Only so many messages stayed, the first ones; None if `Threads.truncate` did not do it."""

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
    """The change set that led to `version`, and when it was committed (unix milliseconds)."""

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


class History(msgspec.Struct, frozen=True, eq=False):
    """A thread's last delta and those before it: a list that grows without being copied."""

    delta: ThreadDelta
    added: tuple[Message, ...]
    """The messages that the thread got: those of the delta that it did not have already."""
    before: "History | None"


class StoredThread(msgspec.Struct, frozen=True, eq=False):
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

    def find_messages_from(self, thread_id: str, position: int) -> tuple[StoredMessage, ...]:
        """The messages of a thread from a position on; a database loads those of the read set."""
        ...

    def find_thread_ids(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[str]:
        """The ids of the threads with this owner and this parent; None matches all."""
        ...

    def find_deltas(self, thread_id: str, after_version: int) -> tuple[ThreadDelta, ...] | None:
        """The deltas of a thread since `after_version`; None if they are not all known."""
        ...


# --- rules ----------------------------------------------------------------------------------------


def created(thread: Thread, now: int) -> ThreadHead:
    """A new thread at version 0; a `created_at` that it has already is kept."""
    times = (now,) * len(thread.messages)
    return ThreadHead(thread=_touched(thread, now), version=0, message_times=times)


def saved(
    thread: Thread, before: ThreadHead | None, now: int, messages: Iterable[StoredMessage] = ()
) -> ThreadHead:
    """The thread after it was replaced as a whole: one version on, or at 0 if it is new.

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
    """The thread after `changes`, one version on; for `messages` see `ThreadChangeSet.apply_to`."""
    thread = changes.apply_to(head.thread, messages)
    kept = len(head.thread.messages[: changes.truncated_to])
    times = grown(head.message_times, kept, len(thread.messages) - kept, now)
    metadata = msgspec.structs.replace(thread.metadata, updated_at=now)
    thread = msgspec.structs.replace(thread, metadata=metadata)
    return ThreadHead(thread=thread, version=_next_version(head), message_times=times)


def extended(
    stored: StoredThread, changes: ThreadChangeSet, now: int, messages: tuple[Message, ...]
) -> StoredThread:
    """The thread and its history, one delta on."""
    unloaded, cut = stored.unloaded, changes
    if changes.truncated_to is not None:  # the head begins behind those that are not loaded
        here = max(changes.truncated_to - unloaded, 0)
        cut = msgspec.structs.replace(changes, truncated_to=here)
        unloaded = min(unloaded, changes.truncated_to)
    head = appended(stored.head, cut, now, messages)
    delta = ThreadDelta(version=head.version, committed_at=now, changes=changes)
    return StoredThread(head, History(delta, messages, stored.history), stored.origin, unloaded)


def all_deltas(history: History | None) -> tuple[ThreadDelta, ...]:
    """The deltas of a history, oldest first."""
    deltas: list[ThreadDelta] = []
    while history is not None:
        deltas.append(history.delta)
        history = history.before
    return tuple(reversed(deltas))


def history_since(
    history: History | None, after_version: int, version: int
) -> tuple[History, ...] | None:
    """The last `version - after_version` steps of a history, oldest first, or None."""
    if not 0 <= after_version <= version:
        return None
    steps: list[History] = []
    while len(steps) < version - after_version:
        if history is None:
            return None
        steps.append(history)
        history = history.before
    return tuple(reversed(steps))


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


def check_metadata(thread: Thread, where: str) -> None:
    """Refuse a thread that brings a version or times of messages of its own.

    Raises:
        InvalidValue: it does; `where` says where the thread is.
    """
    # The files backend writes them beside the thread's own fields under these keys.
    for key, reason in _KEYS_OF_THE_STORE.items():
        if key in thread.extra:
            raise InvalidValue(f"{where}.extra.{key}", f"{reason}; leave it out")


# --- commands -------------------------------------------------------------------------------------


class CreateThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates a thread. Result: `Committed`. Fails with `AlreadyExists`."""

    thread: Thread

    def check(self) -> None:
        """Refuse a version in the thread's `extra`."""
        check_metadata(self.thread, "createThread.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread."""
        read_set.threads.add(self.thread.id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the new thread at version 0."""
        thread = self.thread
        if thread.id in rows.threads:
            raise AlreadyExists("thread", thread.id, "append to it, or use another id")
        rows.threads.put(thread.id, StoredThread(created(thread, now)))
        return Committed(version=0)


class EnsureThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates a thread if it does not exist. Result: `Committed`, with its current version."""

    thread: Thread

    def check(self) -> None:
        """Refuse a version in the thread's `extra`."""
        check_metadata(self.thread, "ensureThread.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread."""
        read_set.threads.add(self.thread.id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the thread, unless it exists; an existing thread stays as it is."""
        stored = rows.threads.get(self.thread.id)
        if stored is not None:
            return Committed(version=stored.head.version)
        rows.threads.put(self.thread.id, StoredThread(created(self.thread, now)))
        return Committed(version=0)


class AppendThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Changes a thread, and its run. Result: `Committed`.

    Fails with `NotFound`, or with `VersionConflict` if the thread is not at version `expected`.
    """

    thread_id: ThreadId
    changes: ThreadChangeSet
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a change set that cuts messages off."""
        if self.changes.truncated_to is not None:
            reason = "an append cuts nothing off; use `truncate`"
            raise InvalidValue("appendThread.changes.truncated_to", reason)

    def touches(self, read_set: ReadSet) -> None:
        """The thread, which of the messages it has already, and the run."""
        read_set.threads.add(self.thread_id)
        read_set.messages.update((self.thread_id, message_id) for message_id in self._message_ids())
        if self.changes.run_id:
            read_set.runs.add(self.changes.run_id)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the changed thread with one more delta, and its run."""
        stored, changes = require_thread(rows, self.thread_id, self.expected), self.changes
        messages = changes.messages
        if ids := self._message_ids():
            messages = new_messages(messages, rows.find_known_messages(self.thread_id, ids))
        rows.threads.put(self.thread_id, extended(stored, changes, now, messages))
        if changes.run_id:
            record_run(
                rows, changes.run_id, self.thread_id, changes.parent_run_id, changes.run_meta, now
            )
        skipped = () if len(messages) == len(changes.messages) else self._skipped(messages)
        return Committed(version=stored.head.version + 1, skipped=skipped)

    def _message_ids(self) -> list[str]:
        return [message.id for message in self.changes.messages if message.id is not None]

    def _skipped(self, added: tuple[Message, ...]) -> tuple[str, ...]:
        kept = {id(message) for message in added}  # by identity: two may have one id
        return tuple(
            message.id
            for message in self.changes.messages
            if message.id is not None and id(message) not in kept
        )


class SaveThread(TimedCommand[Committed], frozen=True, kw_only=True):
    """Creates or replaces a thread as a whole. Result: `Committed`.

    With `expected` it only replaces. It fails with `NotFound`, or with `VersionConflict` if the
    thread is not at that version.
    """

    thread: Thread
    expected: Version | None = None

    def check(self) -> None:
        """Refuse a version in the thread's `extra`."""
        check_metadata(self.thread, "saveThread.thread")

    def touches(self, read_set: ReadSet) -> None:
        """The thread, and its messages, for their times."""
        read_set.threads.add(self.thread.id)
        read_set.add_messages_from(self.thread.id, 0)

    def apply(self, rows: ThreadRows, now: int) -> Committed:
        """Put the thread; its history starts here, so earlier deltas are unknown from now on."""
        before = rows.threads.get(self.thread.id)
        if self.expected is not None:
            before = require_thread(rows, self.thread.id, self.expected)
        known = rows.find_messages_from(self.thread.id, 0) if before else ()
        head = saved(self.thread, before.head if before else None, now, known)
        rows.threads.put(self.thread.id, StoredThread(head))
        return Committed(version=head.version)


class DeleteThread(Command[bool], frozen=True, kw_only=True):
    """Deletes a thread; its runs and mailbox stay. Result: whether it existed.

    With `expected` it fails with `NotFound`, or with `VersionConflict` if the thread is not at that
    version.
    """

    thread_id: ThreadId
    expected: Version | None = None

    def touches(self, read_set: ReadSet) -> None:
        """The thread."""
        read_set.threads.add(self.thread_id)

    def apply(self, rows: ThreadRows, now: int) -> bool:
        """Remove the thread."""
        if self.expected is not None:
            require_thread(rows, self.thread_id, self.expected)
        existed = self.thread_id in rows.threads
        if existed:
            rows.threads.remove(self.thread_id)
        return existed
