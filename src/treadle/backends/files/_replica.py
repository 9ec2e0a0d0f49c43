"""One process's copy of the store in memory, and how it follows the journals."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from treadle.backends.files._collection_files import Lines, Whole, combine_lines
from treadle.backends.files._delta_files import DeltaFiles
from treadle.backends.files._entries import (
    OF_COLLECTIONS,
    STEPS,
    Append,
    Entry,
    FileKey,
    Put,
    Remove,
    Update,
    decode_entries,
    encode_entries,
    entries_of,
    table_of,
    without_earlier,
)
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._tables import FileTables
from treadle.backends.files.disk import Bytes
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Change

_FileEntry: TypeAlias = Put | Remove | Append | Update


class Replica:
    """The store as it is at a position in one of its journals.

    Everything up to there is in `tables`, and in the documents. Only the holder of the store's lock
    may use a replica. If a write fails, the replica may be wrong: it is dropped, and the next one
    starts from the documents.
    """

    def __init__(
        self, files: JsonFiles, delta_files: DeltaFiles, tables: FileTables, journal: Journal
    ) -> None:
        self.tables = tables
        self.journal = journal
        self._files = files
        self._delta_files = delta_files
        self._journaled: set[FileKey] = set()
        """The JSON files that the journal has."""

    def follow(self, written: Position) -> list[Entry]:
        """Read what other processes have committed.

        Returns the entries after `written`. Their JSON files are not written, because the process
        that committed them has died.
        """
        unwritten: list[Entry] = []
        for entries in self._read_on():
            if self.journal.position.end > written.end:
                unwritten += entries
        return unwritten

    def finish_journal(self) -> None:
        """Read the rest of a journal that another process has completed."""
        for _ in self._read_on():
            pass

    def move_to(self, journal: Journal) -> None:
        """Go on in the next journal, of which nothing is read so far."""
        finished, self.journal = self.journal, journal
        self._journaled.clear()
        finished.close()

    def commit(self, batches: list[list[Change]], *, sync: bool) -> list[Entry]:
        """Write batches to the journal, which commits them; return their entries.

        Without `sync` the journal is synced only before a file changes that may be safe on the
        disk: until the new content is safe too, the journal must have it. See docs/decisions/0026.
        """
        group: Iterable[list[Entry]] = entries_of(
            batches,
            self._journaled,
            self.tables.threads.encoded,
            self.tables.documents.entries_of,
        )
        sync = sync or self._replaces_safe(batches)
        if not sync:
            group = list(group)
            sync = self._changes_safe_file(list(chain.from_iterable(group)))
        committed: list[Entry] = []
        self.journal.append(_encoded(group, committed), sync=sync)
        return committed

    def _replaces_safe(self, batches: list[list[Change]]) -> bool:
        """Return True if a file that may be safe is replaced, and the journal does not have it."""
        return any(
            change.before is not None
            and change.table != "documents"
            and (change.table, change.key) not in self._journaled
            for changes in batches
            for change in changes
        )

    def _changes_safe_file(self, entries: Sequence[Entry]) -> bool:
        """Return True if a collection's file is replaced, or gets its first lines of the journal.

        A torn line hides what the lines before it say about its JSON file. A replay cuts off torn
        lines, but only from files that a synced journal has.
        """
        starts: dict[str, int] = {}
        for entry in entries:
            if isinstance(entry, Whole):
                return True
            if isinstance(entry, Lines) and ("documents", entry.key) not in self._journaled:
                starts.setdefault(entry.key, entry.start)
        return any(starts.values())  # a file that begins in this group has nothing to lose

    def write_files(self, batches: list[list[Change]], committed: Sequence[Entry]) -> None:
        """Write the JSON files and delta files of batches, for which `commit` returned entries."""
        self._delta_files.write(chain.from_iterable(batches))
        collections = self._files.collections
        of_collections = [entry for entry in committed if isinstance(entry, OF_COLLECTIONS)]
        for name, lines in combine_lines(of_collections, collections).items():
            collections.write(name, lines)
            self._journaled.add(("documents", name))
        # All of them are ready before the first is written, which empties the processor's caches.
        contents = self._contents(committed)
        for (table, key), content in contents.items():
            self._files.replace(table, key, content)
        self._journaled.update(contents)
        self.tables.mark_written(contents)

    def _contents(self, committed: Sequence[Entry]) -> dict[FileKey, Sequence[Bytes] | None]:
        """Return what is in each JSON file after the last entry; files of documents are apart."""
        last: dict[FileKey, _FileEntry] = {
            (entry.table, entry.key): entry
            for entry in committed
            if not isinstance(entry, OF_COLLECTIONS)
        }
        contents: dict[FileKey, Sequence[Bytes] | None] = {}
        for key, entry in last.items():
            if isinstance(entry, STEPS):
                contents[key] = self.tables.threads.advance(entry.key).parts()
            elif isinstance(entry, Put):
                contents[key] = [bytes(entry.content)]
            else:
                contents[key] = None
        return contents

    def compact(self) -> list[str]:
        """Leave out of the files of documents what was deleted, one after the other.

        Returns the names of damaged lines, whose files stay as they are.
        """
        damaged: list[str] = []
        for entry in self.tables.documents.compacted(damaged):
            self.journal.append([encode_entries([entry])], sync=True)
            self.write_files([], [entry])
        return damaged

    def _read_on(self) -> Iterator[Sequence[Entry]]:
        for record in self.journal.read_on():
            entries = decode_entries(record, self.journal.path)
            self.tables.follow(entries)
            self._journaled.update((table_of(entry), entry.key) for entry in entries)
            yield entries


def _encoded(group: Iterable[list[Entry]], committed: list[Entry]) -> Iterator[bytes]:
    """Yield the record of each batch, and add its entries to `committed`."""
    for entries in group:
        yield encode_entries(entries)
        committed += map(without_earlier, entries)
