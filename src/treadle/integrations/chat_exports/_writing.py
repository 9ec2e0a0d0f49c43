"""Conversations of exports, written into a store."""

import msgspec

from treadle.core.codec import Json, encode
from treadle.core.messages import Message
from treadle.core.threads import Thread, ThreadHead
from treadle.errors import InvalidValue
from treadle.integrations._ids import joined_id
from treadle.integrations._owners import lacks_owner
from treadle.integrations.chat_exports._conversations import (
    Conversation,
    Program,
    as_milliseconds,
)
from treadle.integrations.importing import Written
from treadle.store.store import Store

BRANCHES_BYTES = 64 << 20
"""How much the branches of a conversation may take that are not the current one.

Each of them has its own copy of the messages that it shares with others. Without a limit, a small
export could fill a disk.
"""


async def write_conversation(
    store: Store,
    program: Program,
    conversation: Conversation,
    written: Written,
    *,
    owner: str | None = None,
) -> None:
    """Write what a store lacks of a conversation.

    Raises:
        InvalidValue: the thread went on in the store, and the conversation elsewhere; or there are
            too many branches, and those that fit are written; or a thread has another owner.
        VersionConflict: somebody else is writing to the thread.
    """
    written.files = len(conversation.files)
    ids = [message.id for said in conversation.messages.values() for message in said]
    if len(set(ids)) < len(ids):
        raise InvalidValue("messages", "two of them have the same id")
    current, others, left_out = _threads(program, conversation, owner)
    known = {message.id for thread in (current, *others) for message in thread.messages}
    # The branches first: a message is not taken from one thread before it is in another.
    for thread in others:
        written.branches += 1
        await _write_thread(store, program, thread, known, written)
    written.is_new = await _write_thread(store, program, current, known, written)
    if left_out:
        reason = f"{left_out} branches are left out; all together would take too much"
        raise InvalidValue("messages", reason)


def _threads(
    program: Program, conversation: Conversation, owner: str | None
) -> tuple[Thread, list[Thread], int]:
    """Return the thread of the current branch, those of others, and how many are left out."""
    tree, messages = conversation.tree, conversation.messages
    bare = Thread(id=conversation.id, resource_id=owner, metadata=conversation.metadata)
    if conversation.current is None:
        return bare, [], 0

    def said(last: str) -> tuple[Message, ...]:
        return tuple(message for node in tree.path(last) for message in messages[node])

    current, *others = tree.branches(conversation.current)
    threads: list[Thread] = []
    if others:
        sizes = {node: 64 + sum(len(encode(m)) for m in found) for node, found in messages.items()}
        sums = tree.sums(sizes)
        room = BRANCHES_BYTES
        for branch in others:
            room -= sums[branch.last]
            if room < 0:
                break
            threads.append(_as_branch(program, bare, str(branch.start), said(branch.last)))
    whole = msgspec.structs.replace(bare, messages=said(current.last))
    return whole, threads, len(others) - len(threads)


def _as_branch(program: Program, bare: Thread, start: str, messages: tuple[Message, ...]) -> Thread:
    fields: dict[str, Json] = {**_fields(program, bare), "branch": start}
    extra = {**bare.metadata.extra, program.key: fields}
    return msgspec.structs.replace(
        bare,
        id=joined_id(bare.id, start),
        parent_thread_id=bare.id,
        messages=messages,
        metadata=msgspec.structs.replace(bare.metadata, extra=extra),
    )


async def _write_thread(
    store: Store, program: Program, thread: Thread, known: set[str | None], written: Written
) -> bool:
    """Write a thread; return whether it is new."""
    stored = await store.threads.load(thread.id)
    if stored is None:
        await store.threads.create(thread)
        written.items += len(thread.messages)
        return True
    if await lacks_owner(store, thread):
        await store.threads.update(thread.id, resource_id=thread.resource_id)
    if _is_older(program, thread, stored.thread):
        return False
    kept = _common(stored.thread.messages, thread.messages)
    missing = thread.messages[kept:]
    replaced = stored.thread.messages[kept:]
    if missing and any(message.id not in known for message in replaced):
        reason = f"the thread {thread.id!r} went on in the store, and the conversation elsewhere"
        raise InvalidValue(f"messages[{kept}]", f"{reason}; import it into another store")
    await _change(store, program, thread, stored, kept)
    written.items += len(missing)
    return False


async def _change(
    store: Store, program: Program, thread: Thread, stored: ThreadHead, kept: int
) -> None:
    """Bring a thread to the state of a newer export."""
    missing = thread.messages[kept:]
    labels = _labels(program, thread)
    if not missing and labels == _labels(program, stored.thread):
        return
    async with store.batch() as batch:
        batch.threads.update(thread.id, metadata=labels, expected=stored.version)
        version = stored.version
        if missing and kept < len(stored.thread.messages):
            batch.threads.truncate(thread.id, keep=kept, expected=version)
            version += 1
        if missing:
            batch.threads.append(thread.id, *missing, expected=version)


def _common(stored: tuple[Message, ...], messages: tuple[Message, ...]) -> int:
    """Return how many messages both begin with.

    Fields in `extra` do not count: another export may say more, or less, of a message.
    """
    count = 0
    for one, other in zip(stored, messages, strict=False):
        if (one.id, one.role, one.content, one.tool_calls) != (
            other.id,
            other.role,
            other.content,
            other.tool_calls,
        ):
            break
        count += 1
    return count


def _is_older(program: Program, thread: Thread, stored: Thread) -> bool:
    ours = as_milliseconds(_fields(program, thread).get(program.changed_at))
    theirs = as_milliseconds(_fields(program, stored).get(program.changed_at))
    return ours is not None and theirs is not None and ours < theirs


def _labels(program: Program, thread: Thread) -> dict[str, Json]:
    """Return what may change of a thread's metadata."""
    extra = thread.metadata.extra
    labels: dict[str, Json] = {"title": extra["title"]} if "title" in extra else {}
    fields = _fields(program, thread)
    if program.changed_at in fields:
        labels[program.key] = {program.changed_at: fields[program.changed_at]}
    return labels


def _fields(program: Program, thread: Thread) -> dict[str, Json]:
    fields = thread.metadata.extra.get(program.key)
    return fields if isinstance(fields, dict) else {}
