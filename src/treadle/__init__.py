"""Treadle keeps what an AI agent must not lose: threads, runs, mailboxes and documents."""

import os

from treadle.backends.base import Capabilities, Durability
from treadle.backends.registry import find_backend
from treadle.clock import Clock, new_id, system_clock
from treadle.core.codec import Json, decode, encode
from treadle.core.commands import Receipt
from treadle.core.document_expiry import DocumentName
from treadle.core.documents import CollectionPage, Document, DocumentPage, Stored
from treadle.core.entry_groups import EntryGroup, GroupCounts
from treadle.core.explaining import Explanation, Obstacle, ObstacleKind
from treadle.core.following import (
    FollowedItem,
    LiveItem,
    LiveValue,
    RunEnded,
    ThreadDeleted,
    ThreadReset,
)
from treadle.core.hints import Hint, HintKind
from treadle.core.mailbox_commands import Interrupted
from treadle.core.mailbox_queries import Claim, FoundEntries, MailboxSummary, MailboxSummaryPage
from treadle.core.mailbox_reports import (
    Consumer,
    Consumers,
    EntryReport,
    ErrorCount,
    ErrorGroup,
    ErrorGroups,
)
from treadle.core.mailboxes import (
    EntryOrigin,
    EntryPage,
    EntryStatus,
    MailboxEntry,
    MailboxPage,
    MailboxState,
    MailboxStats,
    Sent,
)
from treadle.core.messages import (
    Message,
    MessageMetadata,
    MessagePage,
    Role,
    StoredMessage,
    ToolCall,
    Visibility,
    use_ids,
)
from treadle.core.patches import Patch, TrackedPatch
from treadle.core.patching import apply_patch
from treadle.core.run_queries import FoundRuns, RunKey, RunStats
from treadle.core.run_requests import Answer, AnsweredRun, RequestedRun, RunRequest
from treadle.core.runs import RunMeta, RunOrigin, RunPage, RunRecord, RunStatus
from treadle.core.thread_edits import Truncated
from treadle.core.thread_summaries import ThreadSummary, ThreadSummaryPage
from treadle.core.threads import (
    Committed,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    ThreadMetadata,
    ThreadPage,
)
from treadle.core.usage import Usage, UsageKey, UsageReport
from treadle.errors import (
    AlreadyExists,
    ClaimConflict,
    CorruptRecord,
    GenerationMismatch,
    InvalidId,
    InvalidValue,
    NotFound,
    NotWaiting,
    PatchError,
    ReadOnlyStore,
    RunConflict,
    SchemaTooNew,
    SchemaTooOld,
    StoreClosed,
    StoreUnavailable,
    TreadleError,
    VersionConflict,
)
from treadle.store.batch import Batch
from treadle.store.documents import Documents
from treadle.store.erasing import Erased
from treadle.store.mailboxes import Mailboxes
from treadle.store.retention import PurgedThreads
from treadle.store.runs import Runs
from treadle.store.store import Store
from treadle.store.threads import Threads
from treadle.store.writes import Write

use_ids(new_id)

__version__ = "0.1.0.dev0"

__all__ = [
    "AlreadyExists",
    "Answer",
    "AnsweredRun",
    "Batch",
    "Capabilities",
    "Claim",
    "ClaimConflict",
    "Clock",
    "CollectionPage",
    "Committed",
    "Consumer",
    "Consumers",
    "CorruptRecord",
    "Document",
    "DocumentName",
    "DocumentPage",
    "Documents",
    "Durability",
    "EntryGroup",
    "EntryOrigin",
    "EntryPage",
    "EntryReport",
    "EntryStatus",
    "Erased",
    "ErrorCount",
    "ErrorGroup",
    "ErrorGroups",
    "Explanation",
    "FollowedItem",
    "FoundEntries",
    "FoundRuns",
    "GenerationMismatch",
    "GroupCounts",
    "Hint",
    "HintKind",
    "Interrupted",
    "InvalidId",
    "InvalidValue",
    "Json",
    "LiveItem",
    "LiveValue",
    "MailboxEntry",
    "MailboxPage",
    "MailboxState",
    "MailboxStats",
    "MailboxSummary",
    "MailboxSummaryPage",
    "Mailboxes",
    "Message",
    "MessageMetadata",
    "MessagePage",
    "NotFound",
    "NotWaiting",
    "Obstacle",
    "ObstacleKind",
    "Patch",
    "PatchError",
    "PurgedThreads",
    "ReadOnlyStore",
    "Receipt",
    "RequestedRun",
    "Role",
    "RunConflict",
    "RunEnded",
    "RunKey",
    "RunMeta",
    "RunOrigin",
    "RunPage",
    "RunRecord",
    "RunRequest",
    "RunStats",
    "RunStatus",
    "Runs",
    "SchemaTooNew",
    "SchemaTooOld",
    "Sent",
    "Store",
    "StoreClosed",
    "StoreUnavailable",
    "Stored",
    "StoredMessage",
    "Thread",
    "ThreadChangeSet",
    "ThreadDeleted",
    "ThreadDelta",
    "ThreadHead",
    "ThreadMetadata",
    "ThreadPage",
    "ThreadReset",
    "ThreadSummary",
    "ThreadSummaryPage",
    "Threads",
    "ToolCall",
    "TrackedPatch",
    "TreadleError",
    "Truncated",
    "Usage",
    "UsageKey",
    "UsageReport",
    "VersionConflict",
    "Visibility",
    "Write",
    "apply_patch",
    "decode",
    "encode",
    "open_store",
    "system_clock",
]


def open_store(
    url: str | os.PathLike[str],
    *,
    clock: Clock = system_clock,
    durability: Durability = "full",
    create: bool = True,
    migrate: bool = False,
    read_only: bool = False,
) -> Store:
    """Return the store at `url`; `async with treadle.open_store(url) as store:` opens it.

    Args:
        url: a folder (plain JSON files), "sqlite:///agents.db" (one database file; four slashes
            for an absolute path), "postgresql://user@host/database" (needs `treadle[postgres]`; it
            takes psycopg's parameters, and `schema`, `table_prefix`, `prepared_statements=off` and
            `listen=off`), or "memory:" (lost when the store is closed). In "file:" and "sqlite:" a
            character may be a % escape, such as %3F for a question mark.
        clock: returns the present in unix milliseconds, for calls without `now`. The default on
            PostgreSQL is the database's clock.
        durability: with "full", acknowledged writes survive a power failure; with "relaxed", they
            survive the end of the process, but not of the machine. It has no effect in memory.
        create: create the folder or the database file if it does not exist; with False, opening
            raises `StoreUnavailable` then. It has no effect in memory and on PostgreSQL.
        migrate: when opening, bring the schema of a PostgreSQL database up to date, as
            `treadle migrate` does. Folders and database files are always brought up to date.
        read_only: only read, and write nothing, not even beside the store, which must exist. It may
            be a snapshot, on a read-only volume, another user's, or on a standby server. Writes and
            claims raise `ReadOnlyStore`.

    Raises:
        InvalidValue: the URL names no kind of store that Treadle knows, or with `read_only` one in
            memory.
    """
    return Store(
        find_backend(url, clock, durability, create=create, migrate=migrate, read_only=read_only)
    )
