"""What commands do to threads, and what is read of them."""

from treadle.backends.memory.runs import record_run
from treadle.backends.memory.tables import History, StoredThread, Tables
from treadle.core.commands import (
    AppendThread,
    CreateThread,
    DeleteThread,
    EnsureThread,
    RestoreThread,
    SaveThread,
)
from treadle.core.messages import MessagePage
from treadle.core.pages import page_of
from treadle.core.threads import (
    Committed,
    MessageQuery,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    ThreadPage,
    ThreadQuery,
    appended,
    created,
    page_messages,
    saved,
    skipped_ids,
)
from treadle.errors import AlreadyExists, NotFound, VersionConflict


def create(tables: Tables, command: CreateThread, now: int) -> Committed:
    """Put a new thread."""
    thread = command.thread
    if thread.id in tables.threads:
        raise AlreadyExists("thread", thread.id, "append to it, or use another id")
    tables.put("threads", thread.id, StoredThread(created(thread, now)))
    return Committed(version=0)


def ensure(tables: Tables, command: EnsureThread, now: int) -> Committed:
    """Put a thread, unless one is there, which stays as it is."""
    stored = tables.threads.get(command.thread.id)
    if stored is not None:
        return Committed(version=stored.head.version)
    return create(tables, CreateThread(thread=command.thread), now)


def append(tables: Tables, command: AppendThread, now: int) -> Committed:
    """Change a thread, remember the delta, and record its run."""
    stored = _require(tables, command.thread_id)
    version = stored.head.version
    if command.expected is not None and command.expected != version:
        raise VersionConflict(command.thread_id, command.expected, version)
    after = extended(stored, command.changes, now)
    tables.put("threads", command.thread_id, after)
    record_run(tables, command.thread_id, command.changes, now)
    skipped = skipped_ids(command.changes, stored.head.thread, after.head.thread)
    return Committed(version=after.head.version, skipped=skipped)


def save(tables: Tables, command: SaveThread, now: int) -> Committed:
    """Put a thread as a whole; its deltas start anew."""
    thread = command.thread
    before = tables.threads.get(thread.id)
    head = saved(thread, before.head if before else None, now)
    tables.put("threads", thread.id, StoredThread(head))
    return Committed(version=head.version)


def delete(tables: Tables, command: DeleteThread) -> bool:
    """Take a thread away; say whether it was there."""
    present = command.thread_id in tables.threads
    if present:
        tables.put("threads", command.thread_id, None)
    return present


def restore(tables: Tables, command: RestoreThread) -> None:
    """Put a thread at its version; how it came there is not known."""
    tables.put("threads", command.head.thread.id, StoredThread(command.head))


def extended(stored: StoredThread, changes: ThreadChangeSet, now: int) -> StoredThread:
    """The thread and its history, one delta on."""
    head = appended(stored.head, changes, now)
    delta = ThreadDelta(version=head.version, committed_at=now, changes=changes)
    return StoredThread(head, History(delta, stored.history), stored.origin)


def load(tables: Tables, thread_id: str) -> ThreadHead | None:
    """A thread as a whole, or None."""
    stored = tables.threads.get(thread_id)
    return None if stored is None else stored.head


def list_messages(tables: Tables, query: MessageQuery) -> MessagePage:
    """A page of a thread's messages."""
    return page_messages(_require(tables, query.thread_id).head.thread.messages, query)


def list_threads(tables: Tables, query: ThreadQuery) -> ThreadPage:
    """A page of thread ids."""
    matching = sorted(tables.find_thread_ids(query.resource_id, query.parent_thread_id))
    return page_of(ThreadPage, matching, query)


def list_deltas(
    tables: Tables, thread_id: str, after_version: int
) -> tuple[ThreadDelta, ...] | None:
    """The deltas that lead from `after_version` to now, or None if they do not reach back."""
    _require(tables, thread_id)
    return tables.find_deltas(thread_id, after_version)


def _require(tables: Tables, thread_id: str) -> StoredThread:
    stored = tables.threads.get(thread_id)
    if stored is None:
        raise NotFound("thread", thread_id)
    return stored
