"""The tables: their columns, how the values of a row come from a model, and the plain writes.

Statements that only insert, update or delete named columns are rendered from this description
(`treadle.backends.sql._dialects`). A new column of runs, entries or mailboxes is written here once,
and in the migration of each database; no statement has to name it.
"""

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import msgspec

from treadle.backends.sql.program import Values
from treadle.core.claims import is_retry_in_order, is_undelayed
from treadle.core.codec import Json, Model, encode
from treadle.core.document_keys import join
from treadle.core.documents import Document
from treadle.core.mailboxes import MailboxEntry, is_terminal

Type: TypeAlias = Literal["text", "integer", "bigint"]

UNDELAYED, KEPT, TIMED = range(3)
"""The kinds of queues: of what is due whatever the clock says, of retries that keep their order,
and of what is due at a time. Statements name them by their numbers."""


def to_json(value: Json) -> str:
    """A JSON value as text."""
    return msgspec.json.encode(value).decode()


def text_value(text: str | None) -> str | None:
    """Free text as JSON, in which no character is special to a database. Ids do not need it."""
    return None if text is None else to_json(text)


class Column(msgspec.Struct, frozen=True):
    """A column, and where its value is in the model of the row."""

    name: str
    type: Type = "text"
    fixed: bool = False
    """True if a row keeps its value for life: an update leaves the column out."""
    free_text: bool = False
    """True if it holds text that a caller chose, stored as JSON."""
    boolean: bool = False
    """True if it holds a boolean, stored as 1 or 0."""
    claimed: bool = False
    """True if a claim and its end may change it."""
    sent: bool = False
    """True if a send changes it, and changes nothing else."""
    value: Callable[[Any], object] | None = None
    """Computes the value from the model; by default it is the attribute of the column's name."""


class Table:
    """A table; rows of a part of a thread name it by `thread_id`, and are stored by its key."""

    def __init__(
        self, name: str, key: tuple[str, ...], *columns: Column, part_of_thread: bool = False
    ) -> None:
        self.name = name
        self.key = key
        self.columns = columns
        self.part_of_thread = part_of_thread
        self.types: dict[str, Type] = {column.name: column.type for column in columns}
        plain = [column.name for column in columns if column.value is None]
        self._plain = tuple(plain)
        self._read = attrgetter(*plain)
        self._free_text = tuple(column.name for column in columns if column.free_text)
        self._booleans = tuple(column.name for column in columns if column.boolean)
        self._computed = [(each.name, each.value) for each in columns if each.value is not None]

    def values(self, model: object, without: Collection[str] = ()) -> Values:
        """The row of a model, for tables whose rows hold one model each.

        `without` names computed columns that are left out, because they are not loaded.
        """
        row: dict[str, Any] = dict(zip(self._plain, self._read(model), strict=True))
        for name in self._free_text:
            if row[name] is not None:
                row[name] = to_json(row[name])
        for name in self._booleans:
            row[name] = int(row[name])
        for name, value in self._computed:
            if name not in without:
                row[name] = value(model)
        return row


class PlainWrite(msgspec.Struct, frozen=True):
    """A statement that needs no file, because the columns say all of it.

    An update leaves fixed columns alone; a replacement writes them, too.
    """

    kind: Literal["insert", "update", "replace", "delete"]
    table: Table
    columns: tuple[str, ...] = ()
    """If not empty, an update writes these columns only."""
    by: tuple[str, ...] = ()
    """If not empty, a deletion finds its rows by these columns, and not by the key."""
    all_exist: bool = False
    """True if the statement fails unless it finds every row: others may write at the same time."""


def _body(model: Model) -> str:
    return encode(model).decode()


def _extra(model: Model) -> str | None:
    return to_json(model.extra) if model.extra else None


def _ended_at(entry: MailboxEntry) -> int | None:
    return entry.updated_at if is_terminal(entry) else None


def kind_of(entry: MailboxEntry) -> int:
    """The kind of queue that the entry waits in, or waited in; each has a head of its own."""
    if is_undelayed(entry):
        return UNDELAYED
    return KEPT if is_retry_in_order(entry) else TIMED


def _headers(entry: MailboxEntry) -> str | None:
    return to_json(entry.headers) if entry.headers else None


def _payload(entry: MailboxEntry) -> str:
    return to_json(entry.payload)


def _key(document: Document) -> str:
    return join(document.key)


def _value(document: Document) -> str:
    return to_json(document.value)


_MAILBOX_ID = Column("mailbox_id", fixed=True)
_PRIORITY = Column("priority", "integer", fixed=True)
_KIND = Column("kind", "integer", value=kind_of)
_ENDED_AT = Column("ended_at", "bigint", value=_ended_at)
_ENTRY_ID = Column("entry_id")
_THREAD_ID = Column("thread_id")
_POSITION = Column("position", "bigint")
_BODY = Column("body", fixed=True, value=_body)

THREADS = Table(
    "threads",
    ("thread_id",),
    _THREAD_ID,
    Column("version", "bigint"),
    Column("created_at", "bigint", fixed=True),
    Column("updated_at", "bigint"),
    Column("message_count", "bigint"),
    Column("patch_count", "bigint"),
    Column("resource_id", fixed=True, free_text=True),
    Column("parent_thread_id", fixed=True),
)
THREAD_TIMES = Table(
    "thread_times",
    ("thread_id",),
    _THREAD_ID,
    Column("changed_at", "bigint"),
    Column("changed_id"),
    Column("owner", free_text=True),
    part_of_thread=True,
)
THREAD_BODIES = Table(
    "thread_bodies", ("thread_id",), _THREAD_ID, _BODY, Column("state"), part_of_thread=True
)
MESSAGES = Table(
    "messages",
    ("thread_id",),
    _THREAD_ID,
    _POSITION,
    Column("committed_at", "bigint"),
    Column("message_id"),
    Column("visibility"),
    Column("run_id"),
    _BODY,
    part_of_thread=True,
)
# A truncation moves messages here. A position may be given out and cut off several times; `version`
# is the one that the thread got when this message went.
REMOVED_MESSAGES = Table(
    "removed_messages",
    ("thread_id",),
    _THREAD_ID,
    _POSITION,
    Column("version", "bigint"),
    Column("committed_at", "bigint"),
    Column("message_id"),
    _BODY,
    part_of_thread=True,
)
PATCHES = Table("patches", ("thread_id",), _THREAD_ID, _POSITION, _BODY, part_of_thread=True)
DELTAS = Table(
    "deltas",
    ("thread_id",),
    _THREAD_ID,
    Column("version", "bigint"),
    Column("committed_at", "bigint"),
    _BODY,
    part_of_thread=True,
)
RUNS = Table(
    "runs",
    ("run_id",),
    Column("run_id"),
    _THREAD_ID,
    Column("parent_run_id"),
    Column("source_mailbox_entry_id"),
    Column("status"),
    Column("origin"),
    Column("termination_code", free_text=True),
    Column("created_at", "bigint"),
    Column("updated_at", "bigint"),
    Column("body", value=_body),
)
# What searches for runs are sorted by. It is apart, as `thread_times` is: an append changes it.
RUN_TIMES = Table(
    "run_times",
    ("run_id",),
    Column("run_id"),
    Column("of_thread"),
    Column("in_status"),
    Column("begun_at", "bigint"),
    Column("changed_at", "bigint"),
    Column("owner", free_text=True),
)
MAILBOXES = Table(
    "mailboxes",
    ("mailbox_id",),
    _MAILBOX_ID,
    Column("current_generation", "bigint"),
    Column("updated_at", "bigint"),
    Column("last_turn", "bigint", sent=True),
    Column("paused_at", "bigint"),
    Column("paused_until", "bigint"),
    Column("pause_reason", free_text=True),
    Column("extra", value=_extra),
)
TURNS = Table(
    MAILBOXES.name,
    MAILBOXES.key,
    *(each for each in MAILBOXES.columns if each.sent or each is _MAILBOX_ID),
)
"""The columns of mailboxes that a send writes."""
HEADS = Table(
    "queue_heads",
    ("mailbox_id", "priority", "kind", "entry_id"),
    _MAILBOX_ID,
    _PRIORITY,
    _KIND,
    Column("turn", "bigint"),
    Column("available_at", "bigint"),
    Column("created_at", "bigint"),
    _ENTRY_ID,
)
# A claim and its end rewrite the row of an entry: in PostgreSQL as a whole, with all its indexes.
# What they never change is therefore kept apart, in `payloads`.
ENTRIES = Table(
    "entries",
    ("entry_id",),
    _ENTRY_ID,
    _MAILBOX_ID,
    Column("origin", fixed=True),
    _PRIORITY,
    Column("generation", "bigint"),
    Column("status", claimed=True),
    Column("available_at", "bigint"),
    Column("attempt_count", "bigint", claimed=True),
    Column("last_error", free_text=True),
    Column("last_traceback", free_text=True),
    Column("claim_token", free_text=True, claimed=True),
    Column("claimed_by", free_text=True, claimed=True),
    Column("lease_until", "bigint", claimed=True),
    Column("turn", "bigint"),
    Column("closes_runs", "integer", fixed=True, boolean=True),
    Column("created_at", "bigint", fixed=True),
    Column("updated_at", "bigint", claimed=True),
    _ENDED_AT,
    _KIND,
)
CLAIMS = Table(
    ENTRIES.name,
    ENTRIES.key,
    *(each for each in ENTRIES.columns if each.claimed or each is _ENTRY_ID),
)
"""The columns of entries that a claim writes."""
# SQLite writes each index that names a column which an update sets, even to the value it had.
ENDS = Table(ENTRIES.name, ENTRIES.key, *CLAIMS.columns, _ENDED_AT)
"""The columns of entries that an ack writes."""
PAYLOADS = Table(
    "payloads",
    ("entry_id",),
    _ENTRY_ID,
    _MAILBOX_ID,
    Column("created_at", "bigint", fixed=True),
    Column("sender_id", fixed=True, free_text=True),
    Column("dedupe_key", fixed=True, free_text=True),
    Column("headers", fixed=True, value=_headers),
    Column("extra", fixed=True, value=_extra),
    Column("payload", fixed=True, value=_payload),
)
# The keys of a collection are in the order of tuples, because their parts are joined by the lowest
# character. A new time of expiry leaves the value alone, which may be large.
DOCUMENTS = Table(
    "documents",
    ("collection", "key"),
    Column("collection"),
    Column("key", value=_key),
    Column("version", "bigint"),
    Column("created_at", "bigint"),
    Column("updated_at", "bigint"),
    Column("expires_at", "bigint"),
    Column("extra", fixed=True, value=_extra),
    Column("value", fixed=True, value=_value),
)

TABLES = {
    table.name: table
    for table in (
        THREADS,
        THREAD_TIMES,
        THREAD_BODIES,
        MESSAGES,
        REMOVED_MESSAGES,
        PATCHES,
        DELTAS,
        RUNS,
        RUN_TIMES,
        MAILBOXES,
        HEADS,
        ENTRIES,
        PAYLOADS,
        DOCUMENTS,
    )
}
TYPES: dict[str, Type] = {
    column.name: column.type for table in TABLES.values() for column in table.columns
}
"""The type of each column; those of one name have one type."""
FREE_TEXT = frozenset(
    column.name for table in TABLES.values() for column in table.columns if column.free_text
)
"""The columns of text that callers chose."""
BOOLEANS = tuple(column.name for column in ENTRIES.columns if column.boolean)
"""The columns that hold booleans."""
CLAIM_COLUMNS = tuple(column.name for column in ENTRIES.columns if column.value is None)
"""The columns from which an entry is read without its payload."""
ENTRY_FIELDS = tuple(
    dict.fromkeys(
        (*CLAIM_COLUMNS, *(column.name for column in PAYLOADS.columns if column.value is None))
    )
)
"""The columns that are attributes of an entry."""
ENTRY_COLUMNS = (*ENTRY_FIELDS, "headers", "extra", "payload")
"""The columns from which an entry is read."""
DOCUMENT_COLUMNS = tuple(DOCUMENTS.types)
"""The columns from which a document is read; without the last two, it is read without its value."""
MAILBOX_COLUMNS = tuple(MAILBOXES.types)
"""The columns from which a mailbox's state is read."""

PLAIN_WRITES = {
    "insert_thread": PlainWrite("insert", THREADS),
    "update_thread": PlainWrite("update", THREADS),
    "update_thread_labels": PlainWrite("update", THREADS, ("resource_id", "parent_thread_id")),
    "replace_thread": PlainWrite("replace", THREADS),
    "delete_thread": PlainWrite("delete", THREADS),
    "insert_thread_time": PlainWrite("insert", THREAD_TIMES),
    "update_thread_time": PlainWrite("update", THREAD_TIMES, ("changed_at",)),
    "update_thread_owner": PlainWrite("update", THREAD_TIMES, ("owner",)),
    "delete_thread_time": PlainWrite("delete", THREAD_TIMES),
    "insert_thread_body": PlainWrite("insert", THREAD_BODIES),
    "update_thread_body": PlainWrite("update", THREAD_BODIES, ("body",)),
    "update_thread_state": PlainWrite("update", THREAD_BODIES, ("state",)),
    "delete_thread_body": PlainWrite("delete", THREAD_BODIES),
    "insert_message": PlainWrite("insert", MESSAGES),
    "delete_messages": PlainWrite("delete", MESSAGES),
    "insert_removed_message": PlainWrite("insert", REMOVED_MESSAGES),
    "delete_removed_messages": PlainWrite("delete", REMOVED_MESSAGES),
    "insert_patch": PlainWrite("insert", PATCHES),
    "delete_patches": PlainWrite("delete", PATCHES),
    "insert_delta": PlainWrite("insert", DELTAS),
    "delete_deltas": PlainWrite("delete", DELTAS),
    "insert_run": PlainWrite("insert", RUNS),
    "update_run": PlainWrite("update", RUNS),
    "delete_run": PlainWrite("delete", RUNS),
    "update_run_time": PlainWrite("update", RUN_TIMES, ("in_status", "begun_at", "changed_at")),
    "delete_run_time": PlainWrite("delete", RUN_TIMES),
    "insert_mailbox": PlainWrite("insert", MAILBOXES),
    "update_mailbox": PlainWrite("update", MAILBOXES),
    "update_turn": PlainWrite("update", TURNS),
    "delete_mailbox": PlainWrite("delete", MAILBOXES),
    "delete_heads_of_mailbox": PlainWrite("delete", HEADS, by=("mailbox_id",)),
    "insert_entry": PlainWrite("insert", ENTRIES),
    # A purge may delete an entry between the time it is loaded and the time it is written.
    "update_entry": PlainWrite("update", ENTRIES, all_exist=True),
    "update_claim": PlainWrite("update", CLAIMS, all_exist=True),
    "end_claim": PlainWrite("update", ENDS, all_exist=True),
    "delete_entry": PlainWrite("delete", ENTRIES),
    "insert_payload": PlainWrite("insert", PAYLOADS),
    "delete_payload": PlainWrite("delete", PAYLOADS),
    "remove_head": PlainWrite("delete", HEADS),
    "insert_document": PlainWrite("insert", DOCUMENTS),
    "update_document": PlainWrite("update", DOCUMENTS),
    "replace_document": PlainWrite("replace", DOCUMENTS),
    "delete_document": PlainWrite("delete", DOCUMENTS),
}
"""The statements of this kind, by their names in programs."""
