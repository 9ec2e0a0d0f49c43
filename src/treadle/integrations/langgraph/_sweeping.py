"""Deletes and copies checkpoints, while others may write."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeGuard

import msgspec

import treadle
from treadle.commands import (
    CheckDocument,
    Command,
    DeleteDocument,
    DeleteDocuments,
    PutDocument,
)
from treadle.integrations._document_pages import Key, each_document
from treadle.integrations.langgraph._layout import (
    CHECKPOINTS,
    MOST_PIECES,
    PIECES,
    ROOT,
    RUNS,
    VALUES,
    Head,
    Pieces,
    Root,
    Value,
    collection_of,
    is_head,
    list_key,
    number_of,
    read_value,
    run_index_key,
    run_key,
    to_json,
)
from treadle.integrations.langgraph._lists import new_list_id
from treadle.integrations.langgraph._reading import Found, Reader
from treadle.integrations.langgraph._writing import ATTEMPTS, Writer, is_conflict

_COMMIT = 1_000
"""Most documents that one commit changes, so that others need not wait long."""
_BLOCK = 100
"""How many checkpoints are looked at together."""

Choose: TypeAlias = Callable[[str, Mapping[Key, Found]], Awaitable[set[Key]]]
"""Returns the checkpoints to delete, given the collection of a thread and all its checkpoints."""


class _Unused(NamedTuple):
    """The keys of what only deleted checkpoints need."""

    documents: list[Key]
    """These are deleted, checkpoints first: an interrupted deletion may leave values without a
    checkpoint, but no checkpoint without its values."""
    ends: list[Key]
    """The last pieces of lists whose first ones are needed. They are emptied and not deleted, so
    that nobody writes another piece with the number of one that a process still remembers."""
    runs: list[Key]
    """The marks of runs that are among the documents."""


class Sweeper:
    """Deletes from, and copies, the threads in a store.

    It gives the root of a thread a new version, reads, and deletes only while the root keeps that
    version. A writer in between writes all values of its checkpoint, and changes the root again.
    """

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._documents = reader.store.documents

    # --- what to delete ---------------------------------------------------------------------------

    async def delete_thread(self, collection: str, thread_id: str) -> None:
        """Delete a thread."""
        keys = [each async for each in self._keys(collection, RUNS)]
        index = [run_index_key(key, thread_id) for key in keys]
        commands = [DeleteDocument(collection=self._writer.runs, key=key) for key in index]
        everything = DeleteDocuments(collection=collection)
        await self._writer.commit(collection, thread_id, (*commands, everything))

    async def delete_runs(self, prefix: str, run_ids: Iterable[str]) -> None:
        """Delete the checkpoints of runs, in all threads; `prefix` begins their collections."""
        for run_id in run_ids:
            found = self._each(self._writer.runs, run_key(run_id))
            threads = [each.value async for each in found]
            for thread_id in filter(_is_text, threads):
                collection = collection_of(prefix, thread_id)
                await self._sweep(collection, thread_id, partial(self._find_of_run, run_id))

    async def _find_of_run(
        self, run_id: str, collection: str, found: Mapping[Key, Found]
    ) -> set[Key]:
        return {key for key, each in found.items() if self._run_of(each) == run_id}

    async def prune(self, collection: str, thread_id: str) -> None:
        """Keep the newest checkpoint of each namespace, and those that it is rebuilt from."""
        await self._sweep(collection, thread_id, self._find_old)

    async def _find_old(self, collection: str, found: Mapping[Key, Found]) -> set[Key]:
        newest: dict[Key, Key] = {}
        for key in found:
            newest[key[:3]] = max(key, newest.get(key[:3], key))
        old = set(found)
        for key in newest.values():
            old -= await self._needed(collection, key, found)
        return old

    async def _needed(self, collection: str, key: Key, found: Mapping[Key, Found]) -> set[Key]:
        """Return a checkpoint, and the ancestors back to the last snapshots of its deltas."""
        metadata = self._reader.codec.load_sealed(found[key].head.metadata)
        missing: set[str] = set(metadata.get("counters_since_delta_snapshot") or ())
        chain = list(_ancestors(key, found))
        needed = {key}
        for start in range(0, len(chain), _BLOCK):
            block = chain[start : start + _BLOCK]
            found_values = await self._reader.find_values(collection, block, missing)
            for each, values in zip(block, found_values, strict=True):
                if not missing:
                    return needed
                needed.add(each.key)
                missing -= {channel for channel, value in values.items() if value != Value()}
        return needed

    def _run_of(self, found: Found) -> object:
        return self._reader.codec.load_sealed(found.head.metadata).get("run_id")

    # --- deleting ---------------------------------------------------------------------------------

    async def _sweep(self, collection: str, thread_id: str, choose: Choose) -> None:
        for attempt in range(ATTEMPTS):
            root = await self._documents.load(collection, ROOT)
            if root is None:
                return
            try:
                begin = _put_root(collection, Root(thread_id, sweeping=True), root.version)
                (begun,) = await self._writer.commit(collection, thread_id, (begin,))
                await self._sweep_at(collection, thread_id, choose, begun.version)
            except treadle.VersionConflict as error:
                if attempt == ATTEMPTS - 1 or not is_conflict(collection, error):
                    raise
            else:
                return

    async def _sweep_at(
        self, collection: str, thread_id: str, choose: Choose, version: int
    ) -> None:
        found = {each.key: each async for each in self._checkpoints(collection)}
        gone = await choose(collection, found)
        kept = [each for key, each in found.items() if key not in gone]
        unused = await self._find_unused(collection, gone, kept)
        deletions = [(collection, key) for key in unused.documents]
        deletions += [(self._writer.runs, run_index_key(key, thread_id)) for key in unused.runs]
        guard = _check_root(collection, version)
        for start in range(0, len(deletions), _COMMIT):
            part = deletions[start : start + _COMMIT]
            deleting = [DeleteDocument(collection=name, key=key) for name, key in part]
            await self._writer.commit(collection, thread_id, (guard, *deleting))
        for start in range(0, len(unused.ends), _COMMIT):
            ends = unused.ends[start : start + _COMMIT]
            emptying = [PutDocument(collection=collection, key=key, value=None) for key in ends]
            await self._writer.commit(collection, thread_id, (guard, *emptying))
        end: Command[Any] = DeleteDocument(collection=collection, key=ROOT, expected=version)
        if kept:
            end = _put_root(collection, Root(thread_id), version)
        await self._writer.commit(collection, thread_id, (end,))

    async def _find_unused(
        self, collection: str, gone: set[Key], kept: Sequence[Found]
    ) -> "_Unused":
        """Return what only deleted checkpoints need."""
        values = {key for each in kept for key in each.keys_of_values().values()}
        counts: dict[Key, int] = {}
        stored = await self._reader.find_values(collection, kept)
        for each, its_values in zip(kept, stored, strict=True):
            for channel, value in its_values.items():
                if value.list is not None:
                    key = list_key(each.space, channel, value.list.id)
                    counts[key] = max(counts.get(key, 0), value.list.count)
        runs = {run_key(run) for each in kept if isinstance(run := self._run_of(each), str)}
        documents = [key async for key in self._keys(collection, CHECKPOINTS) if key[:4] in gone]
        documents += [key async for key in self._keys(collection, VALUES) if key not in values]
        pieces = [key async for key in self._keys(collection, PIECES)]
        documents += [key for key in pieces if key[:5] not in counts]
        marks = [key async for key in self._keys(collection, RUNS) if key not in runs]
        ends = [key for key in pieces if number_of(key) >= counts.get(key[:5], MOST_PIECES)]
        return _Unused(documents + marks, ends, marks)

    # --- copying ----------------------------------------------------------------------------------

    async def copy_thread(self, source: str, target: str, thread_id: str) -> None:
        """Copy all checkpoints, writes and values to another thread.

        Args:
            source: the collection of the thread.
            target: the collection of the other one.
            thread_id: the id of the other one.
        """
        if source == target:
            return
        for attempt in range(ATTEMPTS):
            root = await self._documents.load(source, ROOT)
            if root is None:
                return
            try:
                version = await self._settle(source, root)
                await self._copy_at(source, target, thread_id, version)
            except treadle.VersionConflict as error:
                conflict = is_conflict(source, error) or is_conflict(target, error)
                if attempt == ATTEMPTS - 1 or not conflict:
                    raise
            else:
                return

    async def _settle(self, collection: str, root: treadle.Document) -> int:
        """Return a version of a root under which nobody deletes; who does so now begins again."""
        found = read_value(root, Root)
        if not found.sweeping:
            return root.version
        settle = _put_root(collection, Root(found.thread_id), root.version)
        (settled,) = await self._writer.commit(collection, found.thread_id, (settle,))
        version: int = settled.version
        return version

    async def _copy_at(self, source: str, target: str, thread_id: str, version: int) -> None:
        # Checkpoints are read first, so that their values are there, and written last.
        checkpoints = [each async for each in self._each(source, CHECKPOINTS)]
        values = [each async for each in self._each(source, VALUES)]
        pieces = [each async for each in self._each(source, PIECES)]
        runs = [each async for each in self._keys(source, RUNS)]
        # The lists of both threads go on apart, so they must not have the same pieces.
        renamed = _Renamed()
        new: list[tuple[Key, treadle.Json]] = []
        for piece in pieces:
            list_id = renamed[piece.key[4]]
            new.append(((*piece.key[:4], list_id, piece.key[5]), piece.value))
        new += [(each.key, to_json(renamed.value(read_value(each, Value)))) for each in values]
        for each in checkpoints:
            if is_head(each.key):
                new.append((each.key, to_json(renamed.head(read_value(each, Head)))))
            else:
                new.append((each.key, each.value))
        target_root = await self._documents.load(target, ROOT)
        expected = 0 if target_root is None else target_root.version
        commands: list[Command[Any]] = [_put_root(target, Root(thread_id), expected)]
        for key in runs:
            commands += self._writer.commands_of_run(target, key, thread_id)
        begun, *_ = await self._writer.commit(target, thread_id, commands)
        guards = (_check_root(source, version), _check_root(target, begun.version))
        for start in range(0, len(new), _COMMIT):
            part = new[start : start + _COMMIT]
            copies = [PutDocument(collection=target, key=key, value=json) for key, json in part]
            await self._writer.commit(target, thread_id, (*guards, *copies))

    # --- reading ----------------------------------------------------------------------------------

    async def _checkpoints(self, collection: str) -> AsyncIterator[Found]:
        async for space in self._reader.spaces(collection):
            async for page in self._reader.pages(collection, space):
                for found in page:
                    yield found

    async def _keys(self, collection: str, prefix: Key) -> AsyncIterator[Key]:
        # Without values: deletions need the keys alone, and damage must not prevent them.
        async for document in self._each(collection, prefix, values=False):
            yield document.key

    def _each(
        self, collection: str, prefix: Key, *, values: bool = True
    ) -> AsyncIterator[treadle.Document]:
        return each_document(self._documents, collection, prefix, values=values)


class _Renamed(dict[str, str]):
    """New ids for the lists of a copy."""

    def __missing__(self, list_id: str) -> str:
        return self.setdefault(list_id, new_list_id())

    def value(self, value: Value) -> Value:
        """Return the value of the copy."""
        if value.list is None:
            return value
        return Value(list=Pieces(self[value.list.id], value.list.count))

    def head(self, head: Head) -> Head:
        """Return the checkpoint of the copy."""
        values = {channel: self.value(value) for channel, value in head.values.items()}
        return msgspec.structs.replace(head, values=values)


def _put_root(collection: str, root: Root, expected: int) -> PutDocument:
    return PutDocument(collection=collection, key=ROOT, value=to_json(root), expected=expected)


def _check_root(collection: str, version: int) -> CheckDocument:
    return CheckDocument(collection=collection, key=ROOT, expected=version)


def _is_text(value: treadle.Json) -> TypeGuard[str]:
    return isinstance(value, str)


def _ancestors(key: Key, found: Mapping[Key, Found]) -> Iterable[Found]:
    """Yield a checkpoint, its parent, and so on."""
    seen: set[Key] = set()
    while key in found and key not in seen:
        seen.add(key)
        each = found[key]
        yield each
        if each.head.parent is None:
            return
        key = (*key[:3], each.head.parent)
