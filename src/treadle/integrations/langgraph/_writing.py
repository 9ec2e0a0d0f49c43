"""Writes checkpoints: one commit each, with the values that are not stored yet."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from langgraph.constants import START

import treadle
from treadle.integrations._document_pages import Key
from treadle.integrations.langgraph._codec import Codec
from treadle.integrations.langgraph._known import Known, KnownThreads
from treadle.integrations.langgraph._layout import (
    OWNER,
    ROOT,
    Head,
    ListPiece,
    PendingWrite,
    Pieces,
    Root,
    Value,
    checkpoint_key,
    part,
    piece_key,
    read_value,
    run_index_key,
    run_key,
    to_json,
    value_key,
)
from treadle.integrations.langgraph._lists import StoredList, grow, is_split, merge

ATTEMPTS = 20
"""Each needs others that delete, or begin the thread, between a read and a commit."""


class StaleWriteOwner(treadle.TreadleError):
    """Another writer has claimed the thread since; nothing was written."""

    is_stale_write_owner_error = True

    def __init__(self, thread_id: str) -> None:
        super().__init__(
            f"thread {thread_id!r} was claimed by another writer since, or deleted; "
            "stop working on it"
        )
        self.thread_id = thread_id


class Guards(NamedTuple):
    """What must be true for a commit."""

    hold: treadle.MailboxEntry | None = None
    """A claim that is held."""
    owned: tuple[str, int] | None = None
    """A thread, and the version of its owner's fence."""


class NewValue(NamedTuple):
    """A value of a channel that is to have a document of its own."""

    key: Key
    value: Value
    is_new: bool
    """False: another checkpoint may have stored it; then that stays."""


class NewWrite(NamedTuple):
    """A write of a task."""

    key: Key
    write: PendingWrite
    replaces: bool
    """True for errors and interrupts; any other write stays as it is once it is stored."""


class Draft:
    """What is to be stored with a checkpoint, and known afterwards."""

    def __init__(self) -> None:
        self.small: dict[str, Value] = {}
        """The values that are stored in the checkpoint."""
        self.values: list[NewValue] = []
        """The other ones, as far as they are not stored yet."""
        self.pieces: list[tuple[Key, ListPiece]] = []
        self.lists: dict[str, StoredList] = {}


class NewCheckpoint:
    """A checkpoint to be stored, serialized at once: its values may change afterwards."""

    def __init__(
        self,
        codec: Codec,
        where: tuple[str, str, str | None],
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
        new_versions: Mapping[str, Any],
    ) -> None:
        self.thread_id, ns, parent = where
        self.space = part(ns)
        self._codec = codec
        bare = dict(checkpoint)
        self._values: dict[str, Any] = dict(bare.pop("channel_values"))
        self._new = new_versions
        self.id: str = bare["id"]
        self.versions: dict[str, Any] = {**bare["channel_versions"], **new_versions}
        run = metadata.get("run_id")
        self.run_id: str | None = run if isinstance(run, str) else None
        self._head = Head(ns, parent, codec.dump_sealed(bare), codec.dump_sealed(dict(metadata)))

    def head(self, draft: Draft) -> Head:
        """Return the checkpoint with its small values."""
        return msgspec.structs.replace(self._head, values=draft.small)

    def draft(self, known: Known | None) -> Draft:
        """Serialize the values that are new, or not known to be stored."""
        draft = Draft()
        for channel, version in self.versions.items():
            is_stored = known is not None and known.versions.get(channel) == str(version)
            if known is not None and is_stored and channel not in self._new:
                self._keep(draft, channel, known)
            else:
                self._add(draft, channel, None if known is None else known.lists.get(channel))
        return draft

    def _keep(self, draft: Draft, channel: str, known: Known) -> None:
        """Add a value that is stored."""
        if channel in known.small:
            draft.small[channel] = known.small[channel]
        if channel in known.lists:
            draft.lists[channel] = known.lists[channel]

    def _add(self, draft: Draft, channel: str, before: StoredList | None) -> None:
        """Add a value; `before` is the list that the channel had."""
        value: Any = self._values.get(channel)
        if channel not in self._values:
            draft.small[channel] = Value()
        elif is_split(value):
            stored, piece = grow(self._codec, before, value)
            draft.lists[channel] = merge(self._codec, stored, value)
            draft.small[channel] = Value(list=Pieces(stored.id, stored.pieces))
            if piece is not None:
                key = piece_key(self.space, channel, stored.id, piece.number)
                draft.pieces.append((key, ListPiece(piece.items, self._codec.seal(piece.plain))))
        else:
            sealed = Value(self._codec.dump_sealed(value))
            # The input of a graph is the value of one checkpoint only, and needs no document.
            if sealed.is_small or channel == START:
                draft.small[channel] = sealed
            else:
                key = value_key(self.space, channel, self.versions[channel])
                draft.values.append(NewValue(key, sealed, channel in self._new))


class _Root(NamedTuple):
    """The version of a thread's root, 0 if there is none."""

    version: int
    must_change: bool = False
    """True for a new thread, and while somebody deletes from it, who then looks again."""


class Writer:
    """Writes to the threads in a store."""

    def __init__(
        self, store: treadle.Store, codec: Codec, known: KnownThreads, runs: str, guards: Guards
    ) -> None:
        self.store = store
        self.runs = runs
        """The collection that finds the threads of a run."""
        self._codec = codec
        self._known = known
        self._guards = guards

    @asynccontextmanager
    async def commit(self, collection: str, thread_id: str) -> AsyncGenerator[treadle.Batch]:
        """Commit what is written in the block, if the claim and the ownership are still held.

        Raises:
            StaleWriteOwner: the thread has another owner.
            ClaimConflict: the claim is lost.
        """
        try:
            async with self.store.batch() as step:
                if self._guards.hold is not None:
                    step.mailboxes.hold(self._guards.hold)
                if self._guards.owned is not None and self._guards.owned[0] == thread_id:
                    step.documents.check(collection, OWNER, expected=self._guards.owned[1])
                yield step
        except treadle.VersionConflict as error:
            if error.key == (collection, *OWNER):
                raise StaleWriteOwner(thread_id) from error
            raise

    async def save(
        self, collection: str, new: NewCheckpoint, draft: Draft, known: Known | None
    ) -> None:
        """Store a checkpoint with its values, in one commit.

        Args:
            collection: the thread's collection.
            new: the checkpoint.
            draft: the values that have to be written if what is known is true.
            known: what is known to be stored.

        Raises:
            StaleWriteOwner, ClaimConflict: see `commit`.
        """
        if known is not None:
            try:
                await self._save(collection, new, draft, known)
            except (treadle.AlreadyExists, treadle.VersionConflict) as error:
                if not is_conflict(collection, error):
                    raise
                # Values were deleted since, or another branch went on with one of the lists.
                draft = new.draft(None)
            else:
                return
        for attempt in range(ATTEMPTS):
            try:
                await self._save(collection, new, draft, None)
            except treadle.VersionConflict as error:
                if attempt == ATTEMPTS - 1 or not is_conflict(collection, error):
                    raise
            else:
                return

    async def _save(
        self, collection: str, new: NewCheckpoint, draft: Draft, known: Known | None
    ) -> None:
        root = (
            await self._load_root(collection)
            if known is None
            else _Root(known.root, must_change=known.root == 0)
        )
        runs = known.runs if known is not None else frozenset[str]()
        changed: treadle.Write[treadle.Stored] | None = None
        async with self.commit(collection, new.thread_id) as step:
            if root.must_change:
                value = to_json(Root(new.thread_id))
                changed = step.documents.put(collection, ROOT, value, expected=root.version)
            else:
                step.documents.check(collection, ROOT, expected=root.version)
            self._add_values(step, collection, draft)
            head = to_json(new.head(draft))
            step.documents.put(collection, checkpoint_key(new.space, new.id), head)
            if new.run_id is not None and new.run_id not in runs:
                runs = frozenset({new.run_id})  # not all of the thread's: they may be many
                self.add_run(step, collection, run_key(new.run_id), new.thread_id)
        version = root.version if changed is None else changed.result.version
        versions = {channel: str(version) for channel, version in new.versions.items()}
        stored = Known(version, versions, draft.small, draft.lists, runs)
        self._known.put(collection, new.space, stored)

    def _add_values(self, step: treadle.Batch, collection: str, draft: Draft) -> None:
        for value in draft.values:
            write = step.documents.put if value.is_new else step.documents.ensure
            write(collection, value.key, to_json(value.value))
        for key, piece in draft.pieces:
            step.documents.create(collection, key, to_json(piece))

    def add_run(self, step: treadle.Batch, collection: str, key: Key, thread_id: str) -> None:
        """Note in a thread, and in the index, that a run has checkpoints there."""
        step.documents.ensure(collection, key, None)
        step.documents.ensure(self.runs, run_index_key(key, thread_id), thread_id)

    async def save_writes(
        self, collection: str, thread_id: str, writes: Sequence[NewWrite]
    ) -> None:
        """Store writes of a task; a known index stays as it is, unless it is a special one.

        Raises:
            StaleWriteOwner, ClaimConflict: see `commit`.
        """
        async with self.commit(collection, thread_id) as step:
            for new in writes:
                write = step.documents.put if new.replaces else step.documents.ensure
                write(collection, new.key, to_json(new.write))

    async def _load_root(self, collection: str) -> "_Root":
        root = await self.store.documents.load(collection, ROOT)
        if root is None:
            return _Root(0, must_change=True)
        return _Root(root.version, must_change=read_value(root, Root).sweeping)


def is_conflict(collection: str, error: treadle.AlreadyExists | treadle.VersionConflict) -> bool:
    """Return whether others changed the thread meanwhile, so that it has to be read again."""
    return isinstance(error, treadle.AlreadyExists) or error.key == (collection, *ROOT)
