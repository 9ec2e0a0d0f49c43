"""Reads checkpoints, their writes, and the values of their channels."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from langgraph.checkpoint.base import writes_sort_key

import treadle
from treadle.integrations._document_pages import PAGE, Key, undamaged
from treadle.integrations.langgraph._codec import Codec, Plain
from treadle.integrations.langgraph._known import Known, KnownThreads
from treadle.integrations.langgraph._layout import (
    CHECKPOINTS,
    ROOT,
    Head,
    ListPiece,
    PendingWrite,
    Root,
    Value,
    behind,
    checkpoint_key,
    index_of,
    is_head,
    piece_key,
    read_value,
    space_key,
    value_key,
)
from treadle.integrations.langgraph._lists import Run, StoredList
from treadle.queries import ListDocuments, LoadDocuments

FEW = 4
"""How many documents are read first to find the newest checkpoint: it has writes only while tasks
are under way, or after an interrupt or error."""
_KEYS = 1_000
_ATTEMPTS = 5
"""Each needs another deletion between two reads."""

ChannelValue: TypeAlias = Plain | StoredList
_ListKey: TypeAlias = tuple[str, str, str]
"""The namespace, the channel and the id of a list."""


class Found(NamedTuple):
    """A checkpoint, without the values of its channels."""

    key: Key
    head: Head
    checkpoint: dict[str, Any]
    writes: tuple[tuple[int, PendingWrite], ...]
    """The writes of its tasks, with their indexes."""

    @property
    def space(self) -> str:
        """The namespace."""
        return self.key[2]

    @property
    def id(self) -> str:
        """The id of the checkpoint."""
        return self.key[3]

    def ordered_writes(self) -> list[PendingWrite]:
        """Return the writes in the order in which they are applied."""
        ordered = sorted(
            self.writes,
            key=lambda each: writes_sort_key(each[1].task_path, each[1].task_id, each[0]),
        )
        return [write for _, write in ordered]

    def keys_of_values(self) -> Mapping[str, Key]:
        """Return the keys of those values of its channels that are not in its head."""
        versions = self.checkpoint["channel_versions"]
        return {
            channel: value_key(self.space, channel, version)
            for channel, version in versions.items()
            if channel not in self.head.values
        }


class Loaded(NamedTuple):
    """A checkpoint with the values of its channels; channels without a value are left out."""

    found: Found
    values: Mapping[str, ChannelValue]


class MissingValueError(Exception):
    """A value is not there: it was deleted since its checkpoint was read, or is lost."""

    def __init__(self, found: Found, channel: str) -> None:
        super().__init__(f"the value of channel {channel!r} is missing")
        self.where = f"checkpoint {found.id!r}"


class Reader:
    """Reads the checkpoints of all threads in a store."""

    def __init__(self, store: treadle.Store, codec: Codec, known: KnownThreads) -> None:
        self.store = store
        self.codec = codec
        self._known = known

    # --- a checkpoint -----------------------------------------------------------------------------

    async def load(self, collection: str, space: str, checkpoint_id: str | None) -> Loaded | None:
        """Return a checkpoint, or the newest one, and remember what is stored of it.

        Raises:
            CorruptRecord: a value of it is missing.
        """
        for attempt in range(_ATTEMPTS):
            root, found = await self.find(collection, space, checkpoint_id)
            if found is None:
                self._remember_nothing(collection, space, root)
                return None
            try:
                [loaded] = await self.load_values(collection, [found])
            except MissingValueError as error:
                # Somebody may have deleted the checkpoint since; then it is not found again.
                if attempt == _ATTEMPTS - 1:
                    raise treadle.CorruptRecord(error.where, str(error)) from error
                continue
            if root:
                self._remember(collection, root, loaded)
            return loaded
        raise AssertionError("the last attempt returns or raises")

    async def find(
        self, collection: str, space: str, checkpoint_id: str | None
    ) -> tuple[int | None, Found | None]:
        """Return a checkpoint, or the newest one, and the version of the root before it was read.

        The version is 0 if there is no root. It is None while somebody deletes, so that nothing is
        taken for known.

        Raises:
            CorruptRecord: the checkpoint, a write of it, or one that may be newer is damaged.
        """
        roots = LoadDocuments(collection=collection, keys=(ROOT,))
        if checkpoint_id is not None:
            key = checkpoint_key(space, checkpoint_id)
            query = LoadDocuments(collection=collection, keys=(key,))
            below = ListDocuments(collection=collection, prefix=key, limit=PAGE)
            (root,), (head,), page = await self.store.read(roots, query, below)
            writes = list(undamaged(collection, page))
            while page.has_more:
                page = await self.store.documents.list(
                    collection, prefix=key, after=page.next_cursor, limit=PAGE
                )
                writes += undamaged(collection, page)
            found = None if head is None else self._found(head, writes)
            return _settled(root), found
        prefix = space_key(space)
        latest = ListDocuments(collection=collection, prefix=prefix, order="desc", limit=FEW)
        (root,), page = await self.store.read(roots, latest)
        newer: list[treadle.Document] = []
        while True:
            for one in self._group(newer, undamaged(collection, page)):
                return _settled(root), one
            if not page.has_more:
                return _settled(root), None
            page = await self.store.documents.list(
                collection,
                prefix=prefix,
                before=page.next_cursor,
                order="desc",
                limit=PAGE,
            )

    # --- many checkpoints -------------------------------------------------------------------------

    async def pages(
        self, collection: str, space: str, before: Key | None = None, first: int = PAGE
    ) -> AsyncIterator[list[Found]]:
        """Yield the checkpoints of a namespace, newest first, in pages.

        Args:
            collection: the thread's collection.
            space: the namespace.
            before: only checkpoints and writes before this key.
            first: the size of the first page, in documents.

        Raises:
            CorruptRecord: a checkpoint or a write of them is damaged.
        """
        newer: list[treadle.Document] = []
        has_more, limit = True, first
        while has_more:
            page = await self.store.documents.list(
                collection, prefix=space_key(space), before=before, order="desc", limit=limit
            )
            yield list(self._group(newer, undamaged(collection, page)))
            has_more, before, limit = page.has_more, page.next_cursor, PAGE

    async def spaces(self, collection: str) -> AsyncIterator[str]:
        """Yield the namespaces of a thread: one read for each."""
        cursor: Key | None = None
        while True:
            page = await self.store.documents.list(
                collection, prefix=CHECKPOINTS, after=cursor, limit=1, values=False
            )
            if not page.items:
                return
            [document] = page.items
            yield document.key[2]
            cursor = behind(document.key[:3])

    async def load_values(
        self, collection: str, found: Sequence[Found], only: Collection[str] | None = None
    ) -> list[Loaded]:
        """Return checkpoints with the values of their channels, or of some of them.

        Raises:
            MissingValueError: one is not there.
        """
        values = await self.find_values(collection, found, only)
        for each, its_values in zip(found, values, strict=True):
            for channel in each.keys_of_values():
                if channel not in its_values and (only is None or channel in only):
                    raise MissingValueError(each, channel)
        lists = await self._load_lists(collection, found, values)
        return [
            Loaded(each, self._plain_values(each, its_values, lists))
            for each, its_values in zip(found, values, strict=True)
        ]

    async def find_values(
        self, collection: str, found: Sequence[Found], only: Collection[str] | None = None
    ) -> list[dict[str, Value]]:
        """Return what is stored of the values of checkpoints; one that is missing is left out."""
        keys = [
            {ch: key for ch, key in each.keys_of_values().items() if only is None or ch in only}
            for each in found
        ]
        documents = await self.load_many(collection, {k for each in keys for k in each.values()})
        return [
            {ch: value for ch, value in each.head.values.items() if only is None or ch in only}
            | {ch: read_value(documents[k], Value) for ch, k in its.items() if k in documents}
            for each, its in zip(found, keys, strict=True)
        ]

    async def load_many(
        self, collection: str, keys: Iterable[Key]
    ) -> Mapping[Key, treadle.Document]:
        """Return the documents at any number of keys, from one snapshot; some may not exist."""
        wanted = list(keys)
        groups = [wanted[start : start + _KEYS] for start in range(0, len(wanted), _KEYS)]
        queries = [LoadDocuments(collection=collection, keys=tuple(group)) for group in groups]
        answers = await self.store.read(*queries) if queries else ()
        return {
            document.key: document
            for answer in answers
            for document in answer
            if document is not None
        }

    # --- lists ------------------------------------------------------------------------------------

    async def _load_lists(
        self, collection: str, found: Sequence[Found], values: Sequence[Mapping[str, Value]]
    ) -> Mapping[_ListKey, StoredList]:
        """Return the lists that are values: each with all pieces that one of them needs."""
        counts: dict[_ListKey, set[int]] = {}
        owners: dict[_ListKey, Found] = {}
        for each, its_values in zip(found, values, strict=True):
            for channel, value in its_values.items():
                if value.list is not None:
                    id = each.space, channel, value.list.id
                    counts.setdefault(id, set()).add(value.list.count)
                    owners[id] = each
        lists: dict[_ListKey, StoredList] = {}
        for id, wanted_counts in counts.items():
            known = self._known.get(collection, id[0])
            stored = known.lists.get(id[1]) if known is not None else None
            if stored is not None and stored.id == id[2] and all(map(stored.first, wanted_counts)):
                lists[id] = stored
        wanted = {id: max(each) for id, each in counts.items() if id not in lists}
        keys = [piece_key(*id, number) for id, pieces in wanted.items() for number in range(pieces)]
        documents = await self.load_many(collection, keys)
        for id, pieces in wanted.items():
            runs: list[Run] = []
            for number in range(pieces):
                document = documents.get(piece_key(*id, number))
                if document is None:
                    raise MissingValueError(owners[id], id[1])
                piece = read_value(document, ListPiece)
                runs.append(Run(1, piece.items, self.codec.unseal(piece.value)))
            lists[id] = StoredList(id[2], tuple(runs))
        return lists

    def _plain_values(
        self, found: Found, values: Mapping[str, Value], lists: Mapping[_ListKey, StoredList]
    ) -> Mapping[str, ChannelValue]:
        plain: dict[str, ChannelValue] = {}
        for channel, value in values.items():
            if value.list is not None:
                stored = lists[found.space, channel, value.list.id].first(value.list.count)
                if stored is None:
                    raise MissingValueError(found, channel)
                plain[channel] = stored
            elif value.value is not None:
                plain[channel] = self.codec.unseal(value.value)
        return plain

    # --- documents --------------------------------------------------------------------------------

    def _group(
        self, newer: list[treadle.Document], documents: Iterable[treadle.Document]
    ) -> Iterable[Found]:
        """Yield the checkpoints among documents in descending order, each with its writes.

        `newer` are writes that come before their checkpoint, from this page to the next.
        """
        for document in documents:
            if not is_head(document.key):
                newer.append(document)
                continue
            writes = [each for each in newer if each.key[:4] == document.key]
            newer.clear()  # writes of other checkpoints are of some that are not stored yet
            yield self._found(document, writes)

    def _found(self, document: treadle.Document, writes: Iterable[treadle.Document]) -> Found:
        head = read_value(document, Head)
        checkpoint = self.codec.load_sealed(head.checkpoint)
        pending = tuple((index_of(each), read_value(each, PendingWrite)) for each in writes)
        return Found(document.key, head, checkpoint, pending)

    def _remember_nothing(self, collection: str, space: str, root: int | None) -> None:
        """Note which root a namespace without checkpoints has, so that the first one needs no read.

        What is known already may be newer than what was read.
        """
        if root is not None and self._known.get(collection, space) is None:
            self._known.put(collection, space, Known(root, {}, {}, {}, frozenset()))

    def _remember(self, collection: str, root: int, loaded: Loaded) -> None:
        space = loaded.found.space
        before = self._known.get(collection, space)
        is_current = before is not None and before.root == root
        lists = {
            channel: value
            for channel, value in loaded.values.items()
            if isinstance(value, StoredList)
        }
        if before is not None and is_current:
            lists |= {
                channel: known
                for channel, known in before.lists.items()
                if channel in lists and known.id == lists[channel].id
            }  # what was read may be old, and end where the list went on since
        versions = loaded.found.checkpoint["channel_versions"]
        known = Known(
            root=root,
            versions={channel: str(version) for channel, version in versions.items()},
            small=loaded.found.head.values,
            lists=lists,
            runs=before.runs if before is not None and is_current else frozenset(),
        )
        self._known.put(collection, space, known)


def _settled(root: treadle.Document | None) -> int | None:
    if root is None:
        return 0
    return None if read_value(root, Root).sweeping else root.version
