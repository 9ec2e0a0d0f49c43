"""Weft keeps what an AI agent must not lose: its threads, its runs and its mailboxes."""

import os
from importlib.metadata import version

from weft.backends.base import Capabilities, Durability
from weft.backends.registry import find_backend
from weft.core.clock import Clock, system_clock
from weft.core.codec import decode, encode
from weft.core.commands import Receipt
from weft.core.mailboxes import (
    EntryPage,
    Interrupted,
    MailboxEntry,
    MailboxState,
    MailboxStats,
)
from weft.core.messages import Message, MessageMetadata, MessagePage, StoredMessage, ToolCall
from weft.core.patches import Patch, TrackedPatch, apply_patch
from weft.core.runs import RunMeta, RunPage, RunRecord
from weft.core.threads import (
    Committed,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    ThreadHead,
    ThreadMetadata,
    ThreadPage,
)
from weft.errors import (
    AlreadyExists,
    ClaimConflict,
    CorruptRecord,
    GenerationMismatch,
    InvalidId,
    InvalidValue,
    NotFound,
    PatchError,
    SchemaTooNew,
    SchemaTooOld,
    StoreClosed,
    StoreUnavailable,
    VersionConflict,
    WeftError,
)
from weft.store.batch import Batch
from weft.store.store import Store

__version__ = version("weft")

__all__ = [
    "AlreadyExists",
    "Batch",
    "Capabilities",
    "ClaimConflict",
    "Committed",
    "CorruptRecord",
    "EntryPage",
    "GenerationMismatch",
    "Interrupted",
    "InvalidId",
    "InvalidValue",
    "MailboxEntry",
    "MailboxState",
    "MailboxStats",
    "Message",
    "MessageMetadata",
    "MessagePage",
    "NotFound",
    "Patch",
    "PatchError",
    "Receipt",
    "RunMeta",
    "RunPage",
    "RunRecord",
    "SchemaTooNew",
    "SchemaTooOld",
    "Store",
    "StoreClosed",
    "StoreUnavailable",
    "StoredMessage",
    "Thread",
    "ThreadChangeSet",
    "ThreadDelta",
    "ThreadHead",
    "ThreadMetadata",
    "ThreadPage",
    "ToolCall",
    "TrackedPatch",
    "VersionConflict",
    "WeftError",
    "apply_patch",
    "decode",
    "encode",
    "open_store",
]


def open_store(
    url: str | os.PathLike[str],
    *,
    clock: Clock = system_clock,
    durability: Durability = "full",
    migrate: bool = False,
) -> Store:
    """The store at `url`, opened by `async with weft.open_store(url) as store:`.

    Args:
        url: a folder (plain JSON files), "sqlite:///agents.db" (one database file; four slashes
            for an absolute path), "postgresql://user@host/database" (needs `weft[postgres]`; beside
            psycopg's own parameters it takes `schema`, `table_prefix`, `prepared_statements=off`
            and `listen=off`), or "memory:" (forgotten at the end).
        clock: what tells the present as unix milliseconds, where a call gives no `now`; on
            PostgreSQL the default is the database's clock.
        durability: "full": what was acknowledged survives a power failure; "relaxed": it survives
            the end of a process, but not of the machine. In memory it means nothing.
        migrate: bring the schema of a PostgreSQL database up to date at the opening, as
            `weft migrate` does; folders and database files always are.

    Raises:
        InvalidValue: there is no such kind of store.
    """
    return Store(find_backend(url, clock, durability, migrate=migrate))
