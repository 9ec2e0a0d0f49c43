"""The documents of conversations: their keys, and what is in them.

| key | value |
|---|---|
| `("", "r", conversation)` | the record |
| `("", "a", time, conversation)` | nothing: lists all conversations |
| `("", "s", scope, time, conversation)` | nothing: lists the conversations of a scope |
| `("", "e", entry)` | the place of an entry |
| `("", "l", line, number)` | an entry |

The first part is `NOBODY`. A line is a chain of entries, each of which follows the one before it.
It has the id of its first entry, and begins after an entry of another line, or after nothing. So
a history is a range of documents for each line that it goes through, and is read in pages.
"""

from typing import Literal

import msgspec
from pydantic import ConfigDict, TypeAdapter
from pydantic_ai.conversation_store import ConversationEntry, ConversationRecord
from pydantic_ai.messages import ModelMessagesTypeAdapter

from treadle import CorruptRecord, Document, Json
from treadle.integrations._document_pages import NOBODY, Key
from treadle.integrations._ordered import rank_of

COLLECTION = "pydantic-ai"
RECORDS: Key = (NOBODY, "r")
ENTRIES: Key = (NOBODY, "e")
_LINES: Key = (NOBODY, "l")
_ALL: Key = (NOBODY, "a")
_SCOPES: Key = (NOBODY, "s")

# A configuration reaches the records through a list only, as that of the messages does.
_RECORDS = TypeAdapter(
    list[ConversationRecord], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
)


class Place(msgspec.Struct, frozen=True):
    """The place of an entry: its number in a line, from 0."""

    line: str
    number: int

    @property
    def key(self) -> Key:
        """The key of the entry's document."""
        return (*_LINES, self.line, f"{self.number:010}")

    def moved(self, by: int) -> "Place":
        """Return a place before it (negative), or after it."""
        return Place(self.line, self.number + by)


class Pointer(msgspec.Struct, frozen=True):
    """The value of the document that says where an entry is."""

    place: Place
    origin: Place | None = None
    """The entry after which the line begins, if this is the first of the line."""


class _StoredEntry(msgspec.Struct, frozen=True):
    """The value of the document of an entry."""

    id: str
    parent_id: str | None
    kind: Literal["message"]
    message: Json
    origin: Place | None = None


def record_key(conversation_id: str) -> Key:
    """Return the key of a conversation's record."""
    return (*RECORDS, conversation_id)


def entry_key(entry_id: str) -> Key:
    """Return the key of the document that says where an entry is."""
    return (*ENTRIES, entry_id)


def line_key(line: str) -> Key:
    """Return the prefix of the entries of a line."""
    return (*_LINES, line)


def listing_key(scope: str | None) -> Key:
    """Return the prefix of the list of all conversations, or of those of a scope."""
    return _ALL if scope is None else (*_SCOPES, scope)


def listing_keys(record: ConversationRecord) -> list[Key]:
    """Return the keys that list a conversation."""
    when = rank_of(record.updated_at)
    lists = [None] if record.scope is None else [None, record.scope]
    return [(*listing_key(scope), when, record.conversation_id) for scope in lists]


def write_record(record: ConversationRecord) -> Json:
    """Return the value of a record's document."""
    return _RECORDS.dump_python([record], mode="json")[0]


def read_record(document: Document) -> ConversationRecord:
    """Return the record that a document holds.

    Raises:
        CorruptRecord: it holds none.
    """
    try:
        return _RECORDS.validate_json(msgspec.json.encode([document.value]))[0]
    except ValueError as error:
        raise _corrupt(document, error) from error


def write_pointer(pointer: Pointer) -> Json:
    """Return the value of the document that says where an entry is."""
    return msgspec.to_builtins(pointer)


def read_pointer(document: Document) -> Pointer:
    """Return where an entry is.

    Raises:
        CorruptRecord: the document does not say it.
    """
    try:
        return msgspec.convert(document.value, Pointer)
    except msgspec.ValidationError as error:
        raise _corrupt(document, error) from error


def write_entry(entry: ConversationEntry, origin: Place | None) -> Json:
    """Return the value of an entry's document."""
    message = ModelMessagesTypeAdapter.dump_python([entry.message], mode="json")[0]
    stored = _StoredEntry(entry.id, entry.parent_id, entry.kind, message, origin)
    return msgspec.to_builtins(stored)


def read_entry(document: Document) -> tuple[ConversationEntry, Place | None]:
    """Return the entry that a document holds, and where its line begins if it is the first.

    Raises:
        CorruptRecord: it holds none.
    """
    try:
        stored = msgspec.convert(document.value, _StoredEntry)
        # Of JSON, and not of Python's values: only there the bytes of files are texts.
        [message] = ModelMessagesTypeAdapter.validate_json(msgspec.json.encode([stored.message]))
    except ValueError as error:
        raise _corrupt(document, error) from error
    entry = ConversationEntry(
        id=stored.id, parent_id=stored.parent_id, kind=stored.kind, message=message
    )
    return entry, stored.origin


def _corrupt(document: Document, error: Exception) -> CorruptRecord:
    name = f"document {document.key!r} of {document.collection!r}"
    return CorruptRecord(name, str(error), "delete it, or restore it from a backup")
