"""Threads: a change writes only what is new or goes, and a page is a range of an index."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change, steps_of
from treadle.backends.sql._listing import (
    Placed,
    behind,
    conditions_of,
    offset_and_limit,
    page_of_rows,
    read_cursor_page,
)
from treadle.backends.sql._past_messages import (
    PastMessages,
    read_delta,
    reads_of_steps,
    steps_to,
)
from treadle.backends.sql._whole_threads import reads_of_whole, whole_thread
from treadle.backends.sql.program import Program, Read, Row, Statement, Write
from treadle.backends.sql.rows import damage_of, id_list
from treadle.backends.sql.tables import PLAIN_WRITES, text_value, to_json
from treadle.backends.sql.thread_rows import (
    DeltaBodyParts,
    DeltaRow,
    FoundThread,
    LockedThread,
    bare_body,
    body_values,
    delta_values,
    head_position,
    message_values,
    patch_values,
    read_columns,
    read_delta_body,
    read_message,
    read_summary,
    read_thread_id,
    removed_values,
)
from treadle.core.heads import (
    HeadPage,
    ListHeads,
    LoadHead,
    ThreadSummary,
    same_labels,
    sortable,
)
from treadle.core.limits import clamp_page
from treadle.core.message_times import padded
from treadle.core.messages import MessagePage, message_page
from treadle.core.past import as_of
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread
from treadle.core.threads import (
    History,
    StoredThread,
    Thread,
    ThreadDelta,
    ThreadHead,
    ThreadPage,
    all_history,
)
from treadle.errors import NotFound

_DELETE_PARTS = (
    "delete_messages",
    "delete_removed_messages",
    "delete_patches",
    "delete_deltas",
    "delete_thread_body",
    "delete_thread_time",
)
_WRITES = (
    *_DELETE_PARTS,
    "delete_thread",
    "remove_messages",
    "insert_thread",
    "replace_thread",
    "update_thread",
    "update_thread_labels",
    "insert_thread_time",
    "update_thread_time",
    "update_thread_owner",
    "insert_thread_body",
    "update_thread_body",
    "update_thread_state",
    "insert_message",
    "insert_removed_message",
    "insert_patch",
    "insert_delta",
    "update_run_owners",
)
"""The statements in their order: deletions first, and a thread is inserted before its parts."""
_ORDER = {name: number for number, name in enumerate(_WRITES)}
_KEYED = frozenset(
    name for name in _WRITES if name in PLAIN_WRITES and PLAIN_WRITES[name].table.part_of_thread
)
"""Those whose rows name their thread by its key, if it has one already."""
_Rows: TypeAlias = defaultdict[str, list[dict[str, Any]]]
"""Rows to be written, by statement."""


def write_threads(changes: Sequence[Change], locked: Mapping[str, LockedThread]) -> list[Statement]:
    """The statements that write changed threads, and give their runs other owners.

    `locked` has the rows that there were before, by the ids of the threads.
    """
    rows: _Rows = defaultdict(list)
    for change in changes:
        before, after = change.before, change.after
        steps = steps_of(change)
        if (
            steps is not None
            and isinstance(before, StoredThread)
            and isinstance(after, StoredThread)
        ):
            _write_steps(rows, before, after, steps, locked[change.key].patch_count)
            _write_labels(rows, before, after)
        else:
            _replace(rows, change.key, before, after)
    for name in _KEYED.intersection(rows):
        for row in rows[name]:
            before_it = locked.get(row["thread_id"])
            row["thread_key"] = before_it.thread_key if before_it else None
    return [Write(name, rows[name]) for name in sorted(rows, key=_ORDER.__getitem__)]


def _replace(rows: _Rows, thread_id: str, before: object, after: object) -> None:
    """Write a thread as a whole in the place of the one before, or delete it."""
    key = {"thread_id": thread_id}
    if before is not None:
        for statement in _DELETE_PARTS:
            rows[statement].append(key)
    owner = None
    if isinstance(after, StoredThread):
        # The row of a thread stays, because others may be waiting for its lock.
        _write_whole(rows, after, "insert_thread" if before is None else "replace_thread")
        owner = text_value(after.head.thread.resource_id)
    else:
        rows["delete_thread"].append(key)
    if before is not None or owner is not None:
        rows["update_run_owners"].append({"of_thread": thread_id, "owner": owner})


def _write_steps(
    rows: _Rows,
    before: StoredThread,
    after: StoredThread,
    steps: tuple[History, ...],
    patch_count: int,
) -> None:
    """Write what is new and remove what goes: the thread was loaded without its messages."""
    thread = after.head.thread
    _write_removals(rows, before, steps)
    _write_messages(rows, after)
    for position, patch in enumerate(thread.patches, start=patch_count):
        rows["insert_patch"].append(patch_values(thread.id, position, patch))
    for step in steps:
        rows["insert_delta"].append(delta_values(thread.id, step))
    if any(step.delta.changes.snapshot is not None for step in steps):
        rows["delete_patches"].append({"thread_id": thread.id})
        state = {"thread_id": thread.id, "state": to_json(thread.state)}
        rows["update_thread_state"].append(state)
    rows["update_thread"].append(
        _thread_row(after.head, after.message_count, patch_count + len(thread.patches))
    )
    rows["update_thread_time"].append(_time_row(thread))


def _write_messages(rows: _Rows, after: StoredThread) -> None:
    thread = after.head.thread
    times = padded(after.head.message_times, len(thread.messages))
    for position, message in enumerate(thread.messages):
        values = message_values(thread.id, after.unloaded + position, message, times[position])
        rows["insert_message"].append(values)


def _write_removals(rows: _Rows, before: StoredThread, steps: tuple[History, ...]) -> None:
    """Move the messages that each truncation removes: the deltas before it still show them."""
    thread_id, left = before.head.thread.id, before.unloaded
    for step in steps:
        if step.removed:
            rows["insert_removed_message"] += removed_values(thread_id, step)
        left = min(left, step.kept)
    if left < before.unloaded:
        bounds = {"position": left, "message_count": before.unloaded}
        rows["remove_messages"].append({"thread_id": thread_id, **bounds})


def _write_labels(rows: _Rows, before: StoredThread, after: StoredThread) -> None:
    """Write owner, parent and metadata, if an update has changed them."""
    thread = after.head.thread
    if same_labels(before.head.thread, thread):
        return
    rows["update_thread_labels"].append(_labels(thread))
    rows["update_thread_owner"].append(_owner_row(thread))
    owner = text_value(thread.resource_id)
    rows["update_run_owners"].append({"of_thread": thread.id, "owner": owner})
    rows["update_thread_body"].append({"thread_id": thread.id, "body": bare_body(thread)})


def _write_whole(
    rows: _Rows, after: StoredThread, statement: Literal["insert_thread", "replace_thread"]
) -> None:
    thread = after.head.thread
    row = _thread_row(after.head, len(thread.messages), len(thread.patches))
    created_at = sortable(thread.metadata.created_at)
    rows[statement].append({**row, "created_at": created_at, **_labels(thread)})
    rows["insert_thread_time"].append({**_time_row(thread), **_owner_row(thread)})
    rows["insert_thread_body"].append(body_values(thread))
    _write_messages(rows, after)
    for position, patch in enumerate(thread.patches):
        rows["insert_patch"].append(patch_values(thread.id, position, patch))
    for step in all_history(after.history):
        if step.removed:
            rows["insert_removed_message"] += removed_values(thread.id, step)
        rows["insert_delta"].append(delta_values(thread.id, step))


def _time_row(thread: Thread) -> dict[str, object]:
    changed_at = sortable(thread.metadata.updated_at)
    return {"thread_id": thread.id, "changed_at": changed_at, "changed_id": thread.id}


def _owner_row(thread: Thread) -> dict[str, object]:
    return {"thread_id": thread.id, "owner": text_value(thread.resource_id)}


def _labels(thread: Thread) -> dict[str, object]:
    return {
        "thread_id": thread.id,
        "resource_id": text_value(thread.resource_id),
        "parent_thread_id": thread.parent_thread_id,
    }


def _thread_row(head: ThreadHead, message_count: int, patch_count: int) -> dict[str, object]:
    return {
        "thread_id": head.thread.id,
        "version": head.version,
        "updated_at": sortable(head.thread.metadata.updated_at),
        "message_count": message_count,
        "patch_count": patch_count,
    }


# --- reading --------------------------------------------------------------------------------------


def load_thread(query: LoadThread) -> Program[ThreadHead | None]:
    """A thread as a whole, as it is or as it was, or None."""
    thread_id, version = query.thread_id, query.version
    if version is None:
        return whole_thread(thread_id, (yield reads_of_whole(thread_id)))
    *parts, deltas, removed = yield (*reads_of_whole(thread_id), *reads_of_steps(thread_id))
    head = whole_thread(thread_id, parts)
    if head is None:
        return None
    return as_of(head, steps_to(head, deltas, removed), version)


def load_head(query: LoadHead) -> Program[ThreadSummary | None]:
    """The summary of a thread, or None."""
    (found,) = yield (Read("load_head", {"thread_id": query.thread_id}),)
    return read_summary(found[0]) if found else None


def list_heads(query: ListHeads, damage: DamageLog) -> Program[HeadPage]:
    """A page of summaries."""

    def place(row: Row) -> Placed[ThreadSummary]:
        return head_position(row, query.by), read_summary(row)

    return read_cursor_page(HeadPage, [_list_heads(query)], place, query.limit, damage)


def _list_heads(query: ListHeads) -> Read:
    by_update = query.by == "updated_at"
    filters = {
        "owner" if by_update else "resource_id": text_value(query.resource_id),
        "parent_thread_id": query.parent_thread_id,
    }
    values: dict[str, object] = {name: each for name, each in filters.items() if each is not None}
    conditions = [*values]
    if query.roots:
        conditions.append("roots")
    if query.by == "created_at":
        conditions.append("created")  # all are; PostgreSQL's index is for those who say so
    sort: tuple[str, ...] = ("changed_at", "changed_id") if by_update else (query.by, "thread_id")
    if query.by == "id":
        sort = ("thread_id",)
    start = query.start()
    if start is not None:
        conditions.append("behind")
        place = (start.id,) if query.by == "id" else start.order
        values |= behind(sort, place)
    return Read(
        "list_heads_by_update" if by_update else "list_heads",
        values,
        tuple(conditions),
        "ASC" if query.order == "asc" else "DESC",
        sort,
    )


def list_messages(query: ListMessages) -> Program[MessagePage]:
    """A page of a thread's messages."""
    conditions, values = conditions_of(query, beside="thread_id")
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
    with damage_of(f"thread {query.thread_id!r}"):
        found = tuple(map(read_message, rows[:limit]))
    return message_page(found, has_more=len(rows) > limit)


def list_threads(query: ListThreads, damage: DamageLog) -> Program[ThreadPage]:
    """A page of thread ids."""
    conditions, values = conditions_of(query)
    page = offset_and_limit(query)
    rows, counted = yield (
        Read("list_threads", {**values, **page}, conditions),
        Read("count_threads", values, conditions),
    )
    return page_of_rows(ThreadPage, read_thread_id, rows, counted[0][0], query, damage)


def list_deltas(query: ListDeltas) -> Program[tuple[ThreadDelta, ...] | None]:
    """The deltas that lead from `after_version` to now, or None if they do not reach back."""
    thread_id, after_version = query.thread_id, query.after_version
    thread, rows = yield (
        Read("find_thread", {"thread_id": thread_id}),
        Read("list_deltas", {"thread_id": thread_id, "after_version": after_version}),
    )
    if not thread:
        raise NotFound("thread", thread_id)
    with damage_of(f"thread {thread_id!r}"):
        version = read_columns(FoundThread, thread[0]).version
        if not 0 <= after_version <= version or len(rows) != version - after_version:
            return None
        deltas = [read_columns(DeltaRow, row) for row in rows]
        bodies = [read_delta_body(delta.body) for delta in deltas]
    messages, removed = yield from _messages_of_deltas(thread_id, after_version, bodies)
    with damage_of(f"thread {thread_id!r}"):
        past = PastMessages(messages, removed)
        return tuple(
            read_delta(delta, body, past) for delta, body in zip(deltas, bodies, strict=True)
        )


def _messages_of_deltas(
    thread_id: str, after_version: int, bodies: Sequence[DeltaBodyParts]
) -> Program[tuple[list[Row], list[Row]]]:
    """The messages that are at the positions in deltas, and those that were there."""
    positions = {place for _, places in bodies for place in places if isinstance(place, int)}
    if not positions:
        return [], []
    values = {"thread_id": thread_id, "positions": id_list(positions)}
    messages, removed = yield (
        Read("messages_at", values),
        Read("removed_messages_at", {**values, "after_version": after_version}),
    )
    return messages, removed
