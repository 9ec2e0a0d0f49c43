"""How a LangGraph thread is laid out in a collection of documents.

============================================= ======================================================
key                                           value
============================================= ======================================================
``("", "t")``                                 `Root`: which thread it is
``("", "o")``                                 None; its version is the fence of the thread's owner
``("", "c", space, checkpoint)``              `Head`: a checkpoint with its small values
``("", "c", space, checkpoint, task, index)`` `PendingWrite`: behind its checkpoint, in one range
``("", "b", space, channel, version)``        `Value`: a value of a channel that is not small
``("", "x", space, channel, list, number)``   `ListPiece`: a part of the list of a channel
``("", "r", run)``                            None: a run that has checkpoints in this thread
============================================= ======================================================

A space is a namespace of checkpoints, as a part of a key. The first part is `NOBODY`.

Another collection has the id of a thread at ``("", "r", run, thread)``, to find the threads of a
run.
"""

import hashlib
import urllib.parse
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

import treadle
from treadle.integrations._document_pages import NOBODY, Key

T = TypeVar("T")

ROOT: Key = (NOBODY, "t")
OWNER: Key = (NOBODY, "o")
CHECKPOINTS: Key = (NOBODY, "c")
"""The prefix of all checkpoints, with their writes."""
VALUES: Key = (NOBODY, "b")
PIECES: Key = (NOBODY, "x")
RUNS: Key = (NOBODY, "r")
_SHORT = 200
"""Longest text in a key, in bytes; a longer one is replaced by its digest."""
_LONGEST_NAME = 150
"""Longest id in the name of a collection, in bytes; there is a prefix, too."""
MOST_PIECES = 999_999
"""Their numbers have six digits in keys."""
_SMALL = 200
"""Most characters of a value that each checkpoint has again, instead of a document for it."""
_LAST = "\U0010ffff"
_SPECIAL_WRITES = 1_000
"""Added to the index of a write, because errors and interrupts have negative ones."""


class Sealed(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A value in the store: the name of its format, and its bytes in base64."""

    format: str
    data: str


class Root(msgspec.Struct, frozen=True, gc=False):
    """The document whose version guards each checkpoint of a thread.

    A process that deletes values of channels gives it a new version. So a writer notices if values
    that it has not written again may be gone.
    """

    thread_id: str
    sweeping: bool = False
    """Somebody is about to delete: a writer must give the root a new version."""


class PendingWrite(msgspec.Struct, frozen=True, gc=False):
    """A write of a task that is not applied yet."""

    task_id: str
    task_path: str
    channel: str
    value: Sealed


class Pieces(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The first pieces of a list."""

    id: str
    count: Annotated[int, Meta(ge=1, le=MOST_PIECES)]


class Value(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The value of a channel: none, a list in pieces, or anything else."""

    value: Sealed | None = None
    list: Pieces | None = None

    @property
    def is_small(self) -> bool:
        """Whether the value is stored in the checkpoints that have it."""
        return self.value is None or len(self.value.data) <= _SMALL


class Head(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A checkpoint, with the values of those channels that have no document of their own."""

    ns: str
    parent: str | None
    checkpoint: Sealed
    metadata: Sealed
    values: dict[str, Value] = {}


class ListPiece(msgspec.Struct, frozen=True, gc=False):
    """A part of a list, which is a list."""

    items: Annotated[int, Meta(ge=1)]
    """How many it has."""
    value: Sealed


def to_json(value: msgspec.Struct) -> treadle.Json:
    """Return a value as JSON, for a document."""
    return msgspec.to_builtins(value)


def read_value(document: treadle.Document, kind: type[T]) -> T:
    """Return the value of a document as a `kind`.

    Raises:
        CorruptRecord: the document has another value.
    """
    try:
        return msgspec.convert(document.value, kind)
    except msgspec.ValidationError as error:
        raise treadle.CorruptRecord(_name_of(document), str(error)) from error


@lru_cache
def collection_of(prefix: str, thread_id: str) -> str:
    """Return the name of the collection of a thread; it can be a file's name."""
    quoted = urllib.parse.quote(thread_id, safe="@+=,", errors="surrogatepass")
    name = quoted.replace(".", "%2E")
    if not name or len(name) > _LONGEST_NAME:
        name = f"!{_digest(thread_id)}"
    return f"{prefix}.{name}"


def part(text: str) -> str:
    """Return a part of a key for any text: itself, or a digest if it cannot be one."""
    if text.isprintable() and not text.startswith("!") and len(text.encode()) <= _SHORT:
        return text
    return f"!{_digest(text)}"


def is_plain(texts: Sequence[Any]) -> bool:
    """Return whether all are short ASCII texts, which any key and any value may have.

    Commands with such texts, and otherwise with what `part` and base64 give, need no check.
    """
    if {*map(type, texts)} != {str} or max(map(len, texts)) > _SHORT:
        return False
    together = "".join(texts)
    return together.isascii() and together.isprintable()


def space_key(space: str) -> Key:
    """Return the prefix of the checkpoints of a namespace."""
    return (*CHECKPOINTS, space)


def checkpoint_key(space: str, checkpoint_id: str) -> Key:
    """Return the key of a checkpoint; its writes are below it."""
    return (*space_key(space), checkpoint_id)


def write_key(space: str, checkpoint_id: str, task_id: str, index: int) -> Key:
    """Return the key of a write of a task."""
    number = f"{index + _SPECIAL_WRITES:06}"
    return (*checkpoint_key(space, checkpoint_id), part(task_id), number)


def index_of(document: treadle.Document) -> int:
    """Return the index of a write.

    Raises:
        CorruptRecord: the document has a key that no write has.
    """
    try:
        return int(document.key[5]) - _SPECIAL_WRITES
    except (IndexError, ValueError) as error:
        reason = "no write of a task has such a key"
        raise treadle.CorruptRecord(
            _name_of(document), reason, "find out which program wrote it"
        ) from error


def value_key(space: str, channel: str, version: object) -> Key:
    """Return the key of the value that a channel has at a version."""
    return (*VALUES, space, part(channel), part(str(version)))


def is_head(key: Key) -> bool:
    """Return whether a key below "c" is that of a checkpoint, and not of a write."""
    return len(key) == 4


def list_key(space: str, channel: str, list_id: str) -> Key:
    """Return the key of a list; its pieces are below it."""
    return (*PIECES, space, part(channel), list_id)


def piece_key(space: str, channel: str, list_id: str, number: int) -> Key:
    """Return the key of a piece of a list."""
    return (*list_key(space, channel, list_id), f"{number:06}")


def number_of(key: Key) -> int:
    """Return the number of a piece of a list."""
    return int(key[5])


def run_key(run_id: str) -> Key:
    """Return the key of the mark that a run has checkpoints in the thread."""
    return (*RUNS, part(run_id))


def run_index_key(key: Key, thread_id: str) -> Key:
    """Return the key of a thread in the collection of all runs, for the key of its run."""
    return (*key, part(thread_id))


def behind(key: Key) -> Key:
    """Return a key that is behind all keys below `key`."""
    return (*key, _LAST)


def _name_of(document: treadle.Document) -> str:
    return f"document {(document.collection, *document.key)!r}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
