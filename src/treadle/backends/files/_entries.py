"""Journal entries: the JSON files that a batch writes, removes or appends to."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar, TypeAlias, assert_never

import msgspec

from treadle.backends.files._collection_files import Lines, Whole
from treadle.backends.files._encoded_thread import EncodedThread, Labels, Step, labels_of
from treadle.backends.files._journal import Record
from treadle.backends.files.json_files import check_file_key
from treadle.backends.model.tables import Change, TableName, steps_of
from treadle.core.codec import encode
from treadle.core.thread_summaries import same_labels
from treadle.core.threads import History, StoredThread
from treadle.errors import CorruptRecord

FileKey: TypeAlias = tuple[TableName, str]


class Put(msgspec.Struct, frozen=True, tag="put", array_like=True, gc=False):
    """The JSON file is written as a whole."""

    table: TableName
    key: str
    content: msgspec.Raw


class Remove(msgspec.Struct, frozen=True, tag="remove", array_like=True, gc=False):
    """The JSON file is removed."""

    table: TableName
    key: str


class Append(msgspec.Struct, frozen=True, tag="append", array_like=True, gc=False):
    """A thread is appended to, or cut. An earlier entry of the same journal has its JSON file."""

    table: ClassVar[TableName] = "threads"
    key: str
    deltas: tuple[msgspec.Raw, ...]


class FirstAppend(Append, frozen=True, tag="first", array_like=True, gc=False):
    """The first append of a journal to a thread: its content is needed, as the file may be lost."""

    before: msgspec.Raw
    """Its content without the deltas."""


class Update(msgspec.Struct, frozen=True, tag="update", array_like=True, gc=False):
    """The labels of a thread change. An earlier entry of the same journal has its JSON file."""

    table: ClassVar[TableName] = "threads"
    key: str
    labels: Labels


class FirstUpdate(Update, frozen=True, tag="first update", array_like=True, gc=False):
    """The first change of a journal to a thread, like `FirstAppend`."""

    before: msgspec.Raw
    """Its content with the labels that it had before."""


Entry: TypeAlias = Put | Remove | Append | FirstAppend | Update | FirstUpdate | Lines | Whole
STEPS = (Append, Update)
"""The entries of steps of a thread: tuples are faster than unions, and each commit asks."""
OF_COLLECTIONS = (Lines, Whole)
"""The entries of files of documents."""

encode_entries: Callable[[Sequence[Entry]], bytes] = msgspec.json.Encoder().encode
"""Encodes the entries of a batch for the journal."""
_decode: Callable[[bytes], tuple[Entry, ...]] = msgspec.json.Decoder(tuple[Entry, ...]).decode


def decode_entries(record: Record, path: str) -> tuple[Entry, ...]:
    """Return the entries of a batch from its record in the journal at `path`.

    Raises:
        CorruptRecord: they are not entries, or name JSON files that cannot exist.
    """
    try:
        entries = _decode(record.payload)
        for entry in entries:
            check_file_key(table_of(entry), entry.key)
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(f"{path}, record {record.number}", str(error)) from error
    return entries


def without_earlier(entry: Entry) -> Entry:
    """Return an entry without the content of before, which only the journal needs."""
    if isinstance(entry, FirstAppend):
        return Append(entry.key, entry.deltas)
    return Update(entry.key, entry.labels) if isinstance(entry, FirstUpdate) else entry


def table_of(entry: Entry) -> TableName:
    """Return the table that an entry is about."""
    return "documents" if isinstance(entry, OF_COLLECTIONS) else entry.table


def entries_of(
    batches: Iterable[Iterable[Change]],
    journaled: AbstractSet[FileKey],
    encoded_of: Callable[[str, StoredThread], EncodedThread],
    lines_of: Callable[[list[Change]], Iterable[Lines | Whole]],
) -> Iterator[list[Entry]]:
    """Yield the entries of each batch of a group.

    They may have whole files, and are made one after the other, to be written and dropped.

    Args:
        batches: the changes of each batch.
        journaled: the JSON files that the journal has already.
        encoded_of: returns a thread as the bytes of its JSON file.
        lines_of: returns the entries of changes in `store.documents`.
    """
    in_group: set[FileKey] = set()
    for changes in batches:
        entries: list[Entry] = []
        documents: list[Change] = []
        for change in changes:
            if change.table == "documents":
                documents.append(change)
            elif isinstance(change.after, StoredThread):
                key: FileKey = "threads", change.key
                is_first = key not in journaled and key not in in_group
                _add_thread_entries(entries, change, change.after, encoded_of, is_first=is_first)
                in_group.add(key)
            elif change.after is None:
                entries.append(Remove(change.table, change.key))
            else:
                entries.append(
                    Put(change.table, change.key, msgspec.Raw(encode(change.after, pretty=True)))
                )
        if documents:
            entries += lines_of(documents)
        yield entries


def _add_thread_entries(
    entries: list[Entry],
    change: Change,
    after: StoredThread,
    encoded_of: Callable[[str, StoredThread], EncodedThread],
    *,
    is_first: bool,
) -> None:
    key, before, steps = change.key, change.before, steps_of(change)
    if steps is None or not isinstance(before, StoredThread):  # it was created, or saved whole
        entries.append(Put("threads", key, _join(encoded_of(key, after))))
        return
    deltas = tuple([msgspec.Raw(encode(step.delta)) for step in steps])
    if deltas and is_first:
        entries.append(FirstAppend(key, deltas, _join(encoded_of(key, before))))
    elif deltas:
        entries.append(Append(key, deltas))
    if not was_updated(before, after, steps):
        return
    labels = labels_of(after.head)
    if is_first and not deltas:
        entries.append(FirstUpdate(key, labels, _join(encoded_of(key, before))))
    else:
        entries.append(Update(key, labels))


def was_updated(before: StoredThread, after: StoredThread, steps: Sequence[History]) -> bool:
    """Return True if the steps alone do not lead to the thread's labels."""
    return (
        not steps
        or after.head.thread.metadata.updated_at != steps[-1].delta.committed_at
        or not same_labels(before.head.thread, after.head.thread)
    )


def _join(encoded: EncodedThread) -> msgspec.Raw:
    return msgspec.Raw(b"".join(encoded.parts()))


class FileChange(msgspec.Struct):
    """What entries do to one JSON file together."""

    whole: msgspec.Raw | None = None
    """The content that the last entry puts, unless a later one removes the file."""
    steps: list[Step] = msgspec.field(default_factory=list)
    """The steps of a thread that come after it."""
    was_removed: bool = False
    """An entry removes the file; a later one may have written it again."""


def combine(entries: Iterable[Entry]) -> dict[FileKey, FileChange]:
    """Return what entries do to each JSON file; files of documents are apart."""
    changes: dict[FileKey, FileChange] = {}
    for entry in entries:
        if isinstance(entry, OF_COLLECTIONS):
            continue
        key = entry.table, entry.key
        if key not in changes:
            changes[key] = FileChange()
        change = changes[key]
        match entry:
            case Put(content=content):
                change.whole, change.steps = content, []
            case FirstAppend(before=before, deltas=deltas):
                change.whole, change.steps = before, list(deltas)
            case FirstUpdate(before=before, labels=labels):
                change.whole, change.steps = before, [labels]
            case Append(deltas=deltas):
                change.steps.extend(deltas)
            case Update(labels=labels):
                change.steps.append(labels)
            case Remove():
                change.whole, change.steps, change.was_removed = None, [], True
            case _:
                assert_never(entry)
    return changes
