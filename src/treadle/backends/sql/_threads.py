"""Threads: a change writes only what is new or removed, and a page is a range of an index."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Literal, TypeAlias

import msgspec

from treadle.backends._damage import DamageLog
from treadle.backends.model.tables import Change, steps_between
from treadle.backends.sql._listing import (
    Placed,
    behind,
    conditions_of,
    offset_and_limit,
    page_of_rows,
    read_cursor_page,
    without_none,
)
from treadle.backends.sql._past_messages import (
    PastMessages,
    read_delta,
    read_of_deltas,
    reads_of_steps,
    steps_to,
)
from treadle.backends.sql._whole_threads import reads_of_whole, whole_thread
from treadle.backends.sql.program import (
    Program,
    Read,
    Row,
    Statement,
    Values,
    direction_of,
    writes_in,
)
from treadle.backends.sql.rows import damage_of
from treadle.backends.sql.tables import text_value, to_json
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
from treadle.core.limits import clamp_page
from treadle.core.message_times import padded
from treadle.core.messages import MessagePage, StoredMessage, message_page
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread
from treadle.core.thread_summaries import (
    NEWEST,
    ListThreadSummaries,
    LoadThreadSummary,
    ThreadSummary,
    ThreadSummaryPage,
    same_labels,
    sortable,
)
from treadle.core.thread_versions import as_of
from treadle.core.threads import (
    History,
    StoredThread,
    Thread,
    ThreadDelta,
    ThreadHead,
    ThreadPage,
    all_history,
)
from treadle.errors import CorruptRecord, NotFound

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
_Rows: TypeAlias = defaultdict[str, list[Values]]
"""Rows to be written, by statement."""


def write_threads(changes: Sequence[Change], locked: Mapping[str, LockedThread]) -> list[Statement]:
    """The statements that write changed threads, and give their runs other owners.

    `locked` has the rows that there were before, by the ids of the threads.
    """
    rows: _Rows = defaultdict(list)
    for change in changes:
        _write_thread(rows, change, locked.get(change.key))
    return writes_in(_ORDER, rows)


def _write_thread(rows: _Rows, change: Change, locked: LockedThread | None) -> None:
    before, after = change.before, change.after
    # Its rows name the thread by its key, too, if it has one already.
    thread = {"thread_id": change.key, "thread_key": locked.thread_key if locked else None}
    if locked and isinstance(before, StoredThread) and isinstance(after, StoredThread):
        steps = steps_between(before, after)
        if steps is not None:
            _write_steps(rows, thread, before, after, steps, locked.patch_count)
            if not same_labels(before.head.thread, after.head.thread):
                _write_labels(rows, thread, after.head.thread)
            return
    _replace(rows, thread, before, after)


def _replace(rows: _Rows, thread: Values, before: object, after: object) -> None:
    """Write a thread as a whole in the place of the one before, or delete it."""
    if before is not None:
        for statement in _DELETE_PARTS:
            rows[statement].append(thread)
    owner = None
    if isinstance(after, StoredThread):
        # The row of a thread stays, because others may be waiting for its lock.
        _write_whole(rows, thread, after, "insert_thread" if before is None else "replace_thread")
        owner = _owner(after.head.thread)
    else:
        rows["delete_thread"].append(thread)
    if before is not None or owner is not None:
        rows["update_run_owners"].append({"of_thread": thread["thread_id"], "owner": owner})


def _write_steps(
    rows: _Rows,
    thread: Values,
    before: StoredThread,
    after: StoredThread,
    steps: tuple[History, ...],
    patch_count: int,
) -> None:
    """Write what is new and remove the rest: the thread was loaded without its messages."""
    head, left, has_snapshot = after.head, before.unloaded, False
    _write_messages(rows, thread, after)
    for position, patch in enumerate(head.thread.patches, start=patch_count):
        rows["insert_patch"].append(patch_values(thread, position, patch))
    for step in steps:
        rows["insert_delta"].append(delta_values(thread, step))
        left = min(left, step.kept)
        if step.removed:  # they are moved, as earlier deltas still show them
            rows["insert_removed_message"] += removed_values(thread, step)
        has_snapshot |= step.delta.changes.snapshot is not None
    if has_snapshot:
        rows["delete_patches"].append(thread)
        rows["update_thread_state"].append({**thread, "state": to_json(head.thread.state)})
    if left < before.unloaded:
        bounds = {"position": left, "message_count": before.unloaded}
        rows["remove_messages"].append({**thread, **bounds})
    patches = patch_count + len(head.thread.patches)
    rows["update_thread"].append(_thread_row(thread, head, after.message_count, patches))
    rows["update_thread_time"].append(_time_row(thread, head.thread))


def _write_messages(rows: _Rows, thread: Values, after: StoredThread) -> None:
    messages, times = after.head.thread.messages, after.head.message_times
    placed = zip(count(after.unloaded), messages, padded(times, len(messages)), strict=False)
    for position, message, time in placed:
        rows["insert_message"].append(message_values(thread, position, message, time))


def _write_labels(rows: _Rows, thread: Values, after: Thread) -> None:
    """Write owner, parent and metadata."""
    rows["update_thread_labels"].append({**thread, **_labels(after)})
    rows["update_thread_owner"].append({**thread, "owner": _owner(after)})
    rows["update_run_owners"].append({"of_thread": after.id, "owner": _owner(after)})
    rows["update_thread_body"].append({**thread, "body": bare_body(after)})


def _write_whole(
    rows: _Rows,
    thread: Values,
    after: StoredThread,
    statement: Literal["insert_thread", "replace_thread"],
) -> None:
    head, whole = after.head, after.head.thread
    row = _thread_row(thread, head, len(whole.messages), len(whole.patches))
    created_at = sortable(whole.metadata.created_at)
    rows[statement].append({**row, "created_at": created_at, **_labels(whole)})
    rows["insert_thread_time"].append({**_time_row(thread, whole), "owner": _owner(whole)})
    rows["insert_thread_body"].append(body_values(thread, whole))
    _write_messages(rows, thread, after)
    for position, patch in enumerate(whole.patches):
        rows["insert_patch"].append(patch_values(thread, position, patch))
    for step in all_history(after.history):
        if step.removed:
            rows["insert_removed_message"] += removed_values(thread, step)
        rows["insert_delta"].append(delta_values(thread, step))


def _time_row(thread: Values, whole: Thread) -> Values:
    changed_at = sortable(whole.metadata.updated_at)
    return {**thread, "changed_at": changed_at, "changed_id": whole.id}


def _owner(thread: Thread) -> str | None:
    return text_value(thread.resource_id)


def _labels(thread: Thread) -> Values:
    return {"resource_id": _owner(thread), "parent_thread_id": thread.parent_thread_id}


def _thread_row(thread: Values, head: ThreadHead, message_count: int, patch_count: int) -> Values:
    return {
        **thread,
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


def load_summary(query: LoadThreadSummary) -> Program[ThreadSummary | None]:
    """The summary of a thread, or None."""
    (found,) = yield (Read("load_thread_summary", {"thread_id": query.thread_id}),)
    return read_summary(found[0]) if found else None


def list_summaries(query: ListThreadSummaries, damage: DamageLog) -> Program[ThreadSummaryPage]:
    """A page of summaries."""

    def place(row: Row) -> Placed[ThreadSummary]:
        return head_position(row, query.by), read_summary(row)

    page = yield from read_cursor_page(
        ThreadSummaryPage, [_list_summaries(query)], place, query.limit, damage
    )
    if not query.with_last_message or not page.items:
        return page
    ids = [each.id for each in page.items]
    (rows,) = yield (Read("load_newest_messages", {"ids": ids, "number": NEWEST}),)
    return _with_last_messages(query, page, rows, damage)


def _with_last_messages(
    query: ListThreadSummaries, page: ThreadSummaryPage, rows: Sequence[Row], damage: DamageLog
) -> ThreadSummaryPage:
    """The page with the messages that can be read; `unreadable` names the threads of the others."""
    newest = {thread_id: tuple(row) for thread_id, *row in rows}
    unreadable: list[str] = []

    def find(thread_id: str) -> StoredMessage | None:
        if thread_id not in newest:
            return None
        where = f"thread {thread_id!r}"
        try:
            with damage_of(where):
                return read_message(newest[thread_id])
        except CorruptRecord as error:
            damage.note(error)
            unreadable.append(where)
        return None

    page = query.with_messages(page, find)
    return msgspec.structs.replace(page, unreadable=(*page.unreadable, *unreadable))


def _list_summaries(query: ListThreadSummaries) -> Read:
    are_sorted = query.parent_thread_id is not None and query.by != "id"
    by_update = query.by == "updated_at" and not are_sorted
    filters = {
        "owner" if by_update else "resource_id": text_value(query.resource_id),
        "parent_thread_id": query.parent_thread_id,
    }
    values = without_none(filters)
    conditions = [*values]
    if query.roots:
        conditions.append("roots")
    if query.by == "created_at" and not are_sorted:
        conditions.append("created")  # all are, but PostgreSQL's index needs it
    name = "list_children" if are_sorted else "list_thread_summaries"
    sort: tuple[str, ...] = (query.by, "thread_id")
    if by_update:
        name, sort = "list_thread_summaries_by_update", ("changed_at", "changed_id")
    elif query.by == "id":
        sort = ("thread_id",)
    start = query.start()
    if start is not None:
        conditions.append("behind")
        place = (start.id,) if query.by == "id" else start.order
        values |= behind(sort, place)
    return Read(
        name,
        values,
        tuple(conditions),
        direction_of(query.order),
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
            direction_of(query.order),
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
    """The deltas that follow `after_version`, or None if they do not reach back."""
    thread_id, after_version = query.thread_id, query.after_version
    thread, rows = yield (
        Read("find_thread", {"thread_id": thread_id}),
        read_of_deltas(thread_id, after_version, query.until_version),
    )
    if not thread:
        raise NotFound("thread", thread_id)
    with damage_of(f"thread {thread_id!r}"):
        version = read_columns(FoundThread, thread[0]).version
        last = min(version, query.until_version)
        if not 0 <= after_version <= version or len(rows) != last - after_version:
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
    values = {"thread_id": thread_id, "positions": sorted(positions)}
    messages, removed = yield (
        Read("messages_at", values),
        Read("removed_messages_at", {**values, "after_version": after_version}),
    )
    return messages, removed
