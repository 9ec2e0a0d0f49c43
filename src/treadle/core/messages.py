"""Messages of a conversation, with their tool calls, and pages of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from treadle.core.codec import Json, SortedModel, always_encoded
from treadle.core.limits import Time, clamp_page
from treadle.core.pages import Order

Role = Literal["system", "user", "assistant", "tool"]
"""The author of a message."""

Visibility = Literal["all", "internal"]
"""Who can see a message: everybody, or only the agent."""

_new_id: Callable[[], str]
"""Makes the ids of new messages; set by `use_ids`."""


def use_ids(new_id: Callable[[], str]) -> None:
    """Set the function that makes the ids of new messages; `treadle/__init__.py` calls this.

    The core has no random source of its own, so that everything it does can be repeated.
    """
    global _new_id  # noqa: PLW0603
    _new_id = new_id


class ToolCall(SortedModel, frozen=True, kw_only=True):
    """A call of a tool by the assistant; a message with role `tool` answers it by its `id`."""

    id: str
    """Unique in its message only: some providers begin again with `call_0` in each."""
    name: str
    arguments: Json = always_encoded(None)
    """The value itself, not a string of JSON."""


class MessageMetadata(SortedModel, frozen=True, kw_only=True):
    """The run, and the step of it, that a message comes from."""

    run_id: str | None = None
    step_index: int | None = None


class Message(SortedModel, frozen=True, kw_only=True):
    """One message of a thread.

    `content` is text, or a list of JSON parts as multimodal models use them. A message whose `id`
    the thread already has is skipped when it is appended again.
    """

    id: str | None = None
    """A message without an id is always new."""
    role: Role
    content: str | list[Json]
    tool_calls: tuple[ToolCall, ...] | None = None
    """The tool calls of an assistant's message."""
    tool_call_id: str | None = None
    """The call that a tool's message answers."""
    visibility: Visibility = "all"
    metadata: MessageMetadata | None = None

    @classmethod
    def user(
        cls,
        content: str | list[Json],
        *,
        id: str | None = None,
        metadata: MessageMetadata | None = None,
    ) -> "Message":
        """A message from the user, with a new id if none is given."""
        return cls(id=id or _new_id(), role="user", content=content, metadata=metadata)

    @classmethod
    def assistant(
        cls,
        content: str | list[Json],
        tool_calls: tuple[ToolCall, ...] | list[ToolCall] = (),
        *,
        id: str | None = None,
        metadata: MessageMetadata | None = None,
    ) -> "Message":
        """An answer of the assistant, with a new id if none is given; it may ask for tools."""
        return cls(
            id=id or _new_id(),
            role="assistant",
            content=content,
            tool_calls=tuple(tool_calls) or None,
            metadata=metadata,
        )

    @classmethod
    def system(
        cls,
        content: str | list[Json],
        *,
        id: str | None = None,
        metadata: MessageMetadata | None = None,
    ) -> "Message":
        """An instruction to the assistant, with a new id if none is given."""
        return cls(id=id or _new_id(), role="system", content=content, metadata=metadata)

    @classmethod
    def internal_system(
        cls,
        content: str | list[Json],
        *,
        id: str | None = None,
        metadata: MessageMetadata | None = None,
    ) -> "Message":
        """An instruction that only the agent sees, with a new id if none is given."""
        return cls(
            id=id or _new_id(),
            role="system",
            content=content,
            visibility="internal",
            metadata=metadata,
        )

    @classmethod
    def tool(
        cls,
        tool_call_id: str,
        content: str | list[Json],
        *,
        id: str | None = None,
        metadata: MessageMetadata | None = None,
    ) -> "Message":
        """The result of the tool call `tool_call_id`, with a new id if none is given."""
        return cls(
            id=id or _new_id(),
            role="tool",
            content=content,
            tool_call_id=tool_call_id,
            metadata=metadata,
        )


class StoredMessage(SortedModel, frozen=True, kw_only=True):
    """A message and its `cursor`: its position in the thread, from 0."""

    cursor: int
    message: Message
    committed_at: Time | None = None
    """When it was committed, in unix milliseconds; None if another program wrote it."""


class MessagePage(SortedModel, frozen=True, kw_only=True):
    """A page of messages; `next_cursor` is its last, `prev_cursor` its first position."""

    messages: tuple[StoredMessage, ...] = always_encoded(())
    has_more: bool = always_encoded(False)
    next_cursor: int | None = None
    prev_cursor: int | None = None


def new_messages(messages: Iterable[Message], known: Iterable[str]) -> tuple[Message, ...]:
    """Those of `messages` whose id is neither `known` nor the id of an earlier one.

    A message without an id is always new.
    """
    seen = set(known)
    result: list[Message] = []
    for message in messages:
        if message.id is not None:
            if message.id in seen:
                continue
            seen.add(message.id)
        result.append(message)
    return tuple(result)


def page_messages(
    messages: Sequence[Message],
    times: Sequence[int | None] = (),
    *,
    after: int | None,
    before: int | None,
    limit: int,
    order: Order,
    matches: Callable[[Message], bool],
) -> MessagePage:
    """Cut a page out of a thread's messages: those between two positions that match."""
    start = 0 if after is None else max(after + 1, 0)
    end = len(messages) if before is None else min(max(before, 0), len(messages))
    positions = range(start, end) if order == "asc" else range(end - 1, start - 1, -1)
    limit = clamp_page(limit)
    found: list[StoredMessage] = []
    for position in positions:
        if not matches(messages[position]):
            continue
        if len(found) == limit:
            return message_page(found, has_more=True)
        time = times[position] if position < len(times) else None
        stored = StoredMessage(cursor=position, message=messages[position], committed_at=time)
        found.append(stored)
    return message_page(found, has_more=False)


def message_page(found: Sequence[StoredMessage], *, has_more: bool) -> MessagePage:
    """Make a page of the messages found; without any, it has no cursors."""
    if not found:
        return MessagePage()
    return MessagePage(
        messages=tuple(found),
        has_more=has_more,
        next_cursor=found[-1].cursor,
        prev_cursor=found[0].cursor,
    )
