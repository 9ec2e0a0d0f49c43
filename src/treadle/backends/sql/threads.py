"""Threads: an append writes what is new and nothing else; a page is a range of an index."""

from collections.abc import Iterable, Sequence
from typing import Literal

from treadle.backends.model.tables import Change, deltas_of
from treadle.backends.sql.listing import bounded, conditions_of, offset_and_limit
from treadle.backends.sql.program import Program, Read, Statement, Values, Write
from treadle.backends.sql.rows import (
    body_values,
    delta_values,
    id_list,
    message_values,
    patch_values,
    read_delta,
    read_delta_body,
    read_thread,
    text_value,
    to_json,
)
from treadle.core.codec import decode
from treadle.core.limits import clamp_page
from treadle.core.messages import Message, MessagePage, StoredMessage, message_page
from treadle.core.pages import page_with
from treadle.core.threads import (
    ListDeltas,
    ListMessages,
    ListThreads,
    LoadThread,
    StoredThread,
    ThreadDelta,
    ThreadHead,
    ThreadPage,
    all_deltas,
)
from treadle.errors import NotFound

_PARTS = ("delete_messages", "delete_patches", "delete_deltas", "delete_thread_body")
_INSERTS = (
    "insert_thread",
    "replace_thread",
    "update_thread",
    "insert_thread_body",
    "update_thread_state",
    "insert_message",
    "insert_patch",
    "insert_delta",
)


class _Rows:
    """Rows to be written, by statement."""

    def __init__(self) -> None:
        self.gone: list[Values] = []
        self.emptied: list[Values] = []
        self.without_patches: list[Values] = []
        self.new: dict[str, list[Values]] = {name: [] for name in _INSERTS}

    def statements(self) -> Iterable[Statement]:
        """First what goes, then what comes; a thread before its parts."""
        if self.gone or self.emptied:
            yield from (Write(name, self.gone + self.emptied) for name in _PARTS)
        if self.gone:
            yield Write("delete_thread", self.gone)
        if self.without_patches:
            yield Write("delete_patches", self.without_patches)
        for name, rows in self.new.items():
            if rows:
                yield Write(name, rows)


def write_threads(
    changes: Sequence[Change], counts: dict[str, tuple[int, int]]
) -> Iterable[Statement]:
    """The statements that carry out changes of threads, which have had so many rows before."""
    rows = _Rows()
    for change in changes:
        after = change.after
        deltas = deltas_of(change)
        if deltas is not None and isinstance(after, StoredThread):
            known = change.before.head.thread.messages  # type: ignore[union-attr]
            _write_append(rows, after, deltas, len(known), counts[change.key])
            continue
        key = {"thread_id": change.key}
        if not isinstance(after, StoredThread):
            rows.gone.append(key)
        elif change.before is None:
            _write_whole(rows, after, "insert_thread")
        else:  # its row stays: others may be waiting for it
            rows.emptied.append(key)
            _write_whole(rows, after, "replace_thread")
    return rows.statements()


def _write_append(
    rows: _Rows,
    after: StoredThread,
    deltas: tuple[ThreadDelta, ...],
    known: int,
    counts: tuple[int, int],
) -> None:
    """What is new; of the thread's messages the first `known` only stand for those met again."""
    thread = after.head.thread
    message_count, patch_count = counts
    fresh = thread.messages[known:]
    rows.new["insert_message"] += _message_rows(thread.id, message_count, fresh)
    if any(delta.changes.snapshot is not None for delta in deltas):
        rows.without_patches.append({"thread_id": thread.id})
        state = {"thread_id": thread.id, "state": to_json(thread.state)}
        rows.new["update_thread_state"].append(state)
    for position, patch in enumerate(thread.patches, start=patch_count):
        rows.new["insert_patch"].append(patch_values(thread.id, position, patch))
    met = 0
    for delta in deltas:
        positions: dict[int, int] = {}
        for index, message in enumerate(delta.changes.messages):
            if met < len(fresh) and fresh[met] is message:
                positions[index] = message_count + met
                met += 1
        rows.new["insert_delta"].append(delta_values(thread.id, delta, positions))
    rows.new["update_thread"].append(
        _thread_row(after.head, message_count + len(fresh), patch_count + len(thread.patches))
    )


def _write_whole(
    rows: _Rows, after: StoredThread, statement: Literal["insert_thread", "replace_thread"]
) -> None:
    thread = after.head.thread
    row = _thread_row(after.head, len(thread.messages), len(thread.patches))
    labels = {
        "resource_id": text_value(thread.resource_id),
        "parent_thread_id": thread.parent_thread_id,
    }
    rows.new[statement].append({**row, **labels})
    rows.new["insert_thread_body"].append(body_values(thread))
    rows.new["insert_message"] += _message_rows(thread.id, 0, thread.messages)
    for position, patch in enumerate(thread.patches):
        rows.new["insert_patch"].append(patch_values(thread.id, position, patch))
    for delta in all_deltas(after.history):
        rows.new["insert_delta"].append(delta_values(thread.id, delta, {}))


def _thread_row(head: ThreadHead, message_count: int, patch_count: int) -> dict[str, object]:
    return {
        "thread_id": head.thread.id,
        "version": head.version,
        "updated_at": head.thread.metadata.updated_at,
        "message_count": message_count,
        "patch_count": patch_count,
    }


def _message_rows(thread_id: str, start: int, messages: Iterable[Message]) -> list[Values]:
    return [
        message_values(thread_id, position, message)
        for position, message in enumerate(messages, start=start)
    ]


# --- reading --------------------------------------------------------------------------------------


def load_thread(query: LoadThread) -> Program[ThreadHead | None]:
    """A thread as a whole, or None."""
    values = {"thread_id": query.thread_id}
    found, messages, patches = yield (
        Read("load_thread", values),
        Read("load_messages", values),
        Read("load_patches", values),
    )
    if not found:
        return None
    version, updated_at, body, state = found[0]
    thread = read_thread(
        body,
        state,
        updated_at,
        (message for (message,) in messages),
        (patch for (patch,) in patches),
    )
    return ThreadHead(thread=thread, version=version)


def list_messages(query: ListMessages) -> Program[MessagePage]:
    """A page of a thread's messages."""
    conditions, values = conditions_of(query, ("after", "before", "visibility", "run_id"))
    limit = clamp_page(query.limit)
    thread, rows = yield (
        Read("find_thread", {"thread_id": query.thread_id}),
        Read(
            "list_messages",
            {"thread_id": query.thread_id, "limit": limit + 1, **values},
            conditions,
            "ASC" if query.order == "asc" else "DESC",
        ),
    )
    if not thread:
        raise NotFound("thread", query.thread_id)
    found = tuple(
        StoredMessage(cursor=position, message=decode(Message, body))
        for position, body in rows[:limit]
    )
    return message_page(found, has_more=len(rows) > limit)


def list_threads(query: ListThreads) -> Program[ThreadPage]:
    """A page of thread ids."""
    conditions, values = conditions_of(query, ("resource_id", "parent_thread_id"))
    page = offset_and_limit(query)
    rows, counted = yield (
        Read("list_threads", {**values, **page}, conditions),
        Read("count_threads", values, conditions),
    )
    return page_with(ThreadPage, (thread_id for (thread_id,) in rows), counted[0][0], query)


def list_deltas(query: ListDeltas) -> Program[tuple[ThreadDelta, ...] | None]:
    """The deltas that lead from `after_version` to now, or None if they do not reach back."""
    thread_id, after_version = query.thread_id, query.after_version
    thread, rows = yield (
        Read("find_thread", {"thread_id": thread_id}),
        Read("list_deltas", {"thread_id": thread_id, "after_version": bounded(after_version)}),
    )
    if not thread:
        raise NotFound("thread", thread_id)
    version = thread[0][1]
    if not 0 <= after_version <= version or len(rows) != version - after_version:
        return None
    bodies = [read_delta_body(body) for _, _, body in rows]
    positions = {place for _, places in bodies for place in places if isinstance(place, int)}
    found: list[tuple[int, str]] = []
    if positions:
        values = {"thread_id": thread_id, "positions": id_list(positions)}
        (found,) = yield (Read("messages_at", values),)
    messages = {position: decode(Message, body) for position, body in found}
    return tuple(
        read_delta(version, committed_at, body, messages)
        for (version, committed_at, _), body in zip(rows, bodies, strict=True)
    )
