"""Threads: a conversation with its state, and how a change set is applied to it."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from treadle.core.codec import Json, SortedModel, written
from treadle.core.limits import Time, Version, clamp_page
from treadle.core.messages import Message, MessagePage, StoredMessage, Visibility
from treadle.core.pages import Page, PageQuery
from treadle.core.patches import TrackedPatch, apply_patches
from treadle.core.runs import RunMeta
from treadle.errors import InvalidValue

Reason = Literal["UserMessage", "AssistantTurnCommitted", "ToolResultsCommitted", "RunFinished"]
"""Why a change set was made: for its readers, no rule depends on it."""

Order = Literal["asc", "desc"]
"""By position: from the first message on, or from the last one back."""


class ThreadMetadata(SortedModel, frozen=True, kw_only=True):
    """What is known about a thread; times are unix milliseconds, further keys live in `extra`."""

    created_at: Time | None = None
    updated_at: Time | None = None
    version: Version | None = None
    """Kept for programs of the reference; the store counts in `ThreadHead.version`."""
    version_timestamp: Time | None = None


class Thread(SortedModel, frozen=True, kw_only=True):
    """A conversation: its messages, and a JSON state that patches change."""

    id: str
    resource_id: str | None = None
    """The owner, such as a user."""
    parent_thread_id: str | None = None
    messages: tuple[Message, ...] = written(())
    state: Json = written(None)
    """What the patches start from; `rebuild_state` applies them."""
    patches: tuple[TrackedPatch, ...] = written(())
    """Those that are not folded into the state, in their order."""
    metadata: ThreadMetadata = written(ThreadMetadata())

    def rebuild_state(self) -> Json:
        """The state with all patches applied.

        Raises:
            PatchError: a patch does not fit.
        """
        return apply_patches(self.state, (tracked.patch for tracked in self.patches))

    def replay_to(self, index: int) -> Json:
        """The state with the patches up to and including `index` applied.

        Raises:
            InvalidValue: there is no patch `index`.
            PatchError: a patch does not fit.
        """
        if not 0 <= index < len(self.patches):
            raise InvalidValue("index", f"{index} is not one of {len(self.patches)} patches")
        return apply_patches(self.state, (item.patch for item in self.patches[: index + 1]))

    def snapshot(self) -> "Thread":
        """The same thread with its patches folded into the state.

        Raises:
            PatchError: a patch does not fit.
        """
        return msgspec.structs.replace(self, state=self.rebuild_state(), patches=())

    def needs_snapshot(self, threshold: int) -> bool:
        """Whether there are `threshold` patches or more."""
        return len(self.patches) >= threshold


class ThreadHead(SortedModel, frozen=True, kw_only=True):
    """A thread and its version: 0 at create, one more with each append or save."""

    thread: Thread
    version: Version


class ThreadChangeSet(SortedModel, frozen=True, kw_only=True):
    """What one step adds to a thread, and to the run it belongs to (none if `run_id` is empty)."""

    run_id: str = written("")
    parent_run_id: str | None = None
    run_meta: RunMeta | None = None
    """With it the run's record is made or changed; without it, one that is there is touched.

    Without `run_id` it says nothing.
    """
    reason: Reason = written("UserMessage")
    messages: tuple[Message, ...] = written(())
    patches: tuple[TrackedPatch, ...] = written(())
    actions: tuple[Json, ...] = ()
    """Anything else that readers of `Threads.deltas` shall know; the thread does not keep it."""
    snapshot: Json | None = None
    """A new state that replaces the old one and its patches; None keeps them."""

    def apply_to(self, thread: Thread) -> Thread:
        """The thread after these changes.

        A snapshot replaces the state and clears the patches; then messages are added, those whose
        id the thread already has are skipped; then patches are added.
        """
        changes: dict[str, Any] = {}
        patches = thread.patches
        if self.snapshot is not None:
            changes["state"], patches = self.snapshot, ()
        if self.messages:
            changes["messages"] = thread.messages + _unknown(self.messages, thread.messages)
        if patches is not thread.patches or self.patches:
            changes["patches"] = patches + self.patches
        return msgspec.structs.replace(thread, **changes) if changes else thread


class ThreadDelta(SortedModel, frozen=True, kw_only=True):
    """The change set that led to `version`, and when it was committed (unix milliseconds)."""

    version: Version
    committed_at: Time
    changes: ThreadChangeSet


class Committed(SortedModel, frozen=True, kw_only=True):
    """A write to a thread took place; the thread is now at `version`."""

    version: Version
    skipped: tuple[str, ...] = ()
    """The ids of appended messages that the thread had already: these were not added again."""


class ThreadQuery(PageQuery, frozen=True, kw_only=True):
    """Which threads to list, in order of their ids."""

    resource_id: str | None = None
    parent_thread_id: str | None = None


class ThreadPage(Page[str], frozen=True, kw_only=True):
    """A page of thread ids; `total` counts all that match."""


class MessageQuery(SortedModel, frozen=True, kw_only=True):
    """Which messages of a thread to read: those between two cursors, both excluded."""

    thread_id: str
    after: int | None = None
    before: int | None = None
    limit: int = 50
    order: Order = "asc"
    visibility: Visibility | None = "all"
    run_id: str | None = None


def created(thread: Thread, now: int) -> ThreadHead:
    """A new thread at version 0; a `created_at` that it brings is kept."""
    return ThreadHead(thread=_touched(thread, now), version=0)


def saved(thread: Thread, before: ThreadHead | None, now: int) -> ThreadHead:
    """The thread replaced as a whole, one version on."""
    return ThreadHead(thread=_touched(thread, now), version=before.version + 1 if before else 0)


def appended(head: ThreadHead, changes: ThreadChangeSet, now: int) -> ThreadHead:
    """The thread after `changes`, one version on."""
    thread = changes.apply_to(head.thread)
    metadata = msgspec.structs.replace(thread.metadata, updated_at=now)
    return ThreadHead(
        thread=msgspec.structs.replace(thread, metadata=metadata), version=head.version + 1
    )


def skipped_ids(changes: ThreadChangeSet, before: Thread, after: Thread) -> tuple[str, ...]:
    """The ids of those messages of `changes` that led from `before` to `after` without being added.

    Of a thread's messages only those need to be known whose ids `changes` may bring again.
    """
    added = {id(message) for message in after.messages[len(before.messages) :]}
    return tuple(
        message.id
        for message in changes.messages
        if message.id is not None and id(message) not in added
    )


def page_messages(messages: Sequence[Message], query: MessageQuery) -> MessagePage:
    """The page of `messages` that `query` asks for."""
    start = 0 if query.after is None else max(query.after + 1, 0)
    end = len(messages) if query.before is None else min(max(query.before, 0), len(messages))
    limit = clamp_page(query.limit)
    positions = range(start, end) if query.order == "asc" else range(end - 1, start - 1, -1)
    found: list[StoredMessage] = []
    for position in positions:
        message = messages[position]
        if not _matches(message, query):
            continue
        if len(found) == limit:
            return _page(found, has_more=True)
        found.append(StoredMessage(cursor=position, message=message))
    return _page(found, has_more=False)


def _page(found: list[StoredMessage], *, has_more: bool) -> MessagePage:
    if not found:
        return MessagePage()
    return MessagePage(
        messages=tuple(found),
        has_more=has_more,
        next_cursor=found[-1].cursor,
        prev_cursor=found[0].cursor,
    )


def _matches(message: Message, query: MessageQuery) -> bool:
    if query.visibility is not None and message.visibility != query.visibility:
        return False
    if query.run_id is None:
        return True
    return message.metadata is not None and message.metadata.run_id == query.run_id


def _touched(thread: Thread, now: int) -> Thread:
    metadata = msgspec.structs.replace(
        thread.metadata,
        created_at=now if thread.metadata.created_at is None else thread.metadata.created_at,
        updated_at=now,
    )
    return msgspec.structs.replace(thread, metadata=metadata)


def _unknown(new: tuple[Message, ...], present: tuple[Message, ...]) -> tuple[Message, ...]:
    """Those of `new` whose id is not among `present` nor earlier in `new`."""
    seen = {message.id for message in present}
    result: list[Message] = []
    for message in new:
        if message.id is not None:
            if message.id in seen:
                continue
            seen.add(message.id)
        result.append(message)
    return tuple(result)
