"""Writes checkpoints: one commit each, with the values that are not stored yet."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from langgraph.constants import START

import treadle
from treadle.commands import (
    CheckDocument,
    Command,
    CreateDocument,
    EnsureDocument,
    Hold,
    PutDocument,
)
from treadle.core.claims import claim_of
from treadle.core.commands import Checked
from treadle.core.ids import is_id
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
    is_plain,
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

    def texts(self) -> list[Any]:
        """Return all texts that are stored and that others chose."""
        head = self._head
        chosen = [self.thread_id, self.space, self.id, head.ns, *self.versions]
        chosen += (head.checkpoint.format, head.metadata.format)
        return chosen if head.parent is None else [*chosen, head.parent]

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

    async def commit(
        self,
        collection: str,
        thread_id: str,
        commands: Iterable[Command[Any]],
        *,
        are_checked: bool = False,
    ) -> tuple[Any, ...]:
        """Commit commands if the claim and the ownership are still held; return their results.

        Args:
            collection: the thread's collection.
            thread_id: the thread.
            commands: what to do.
            are_checked: it is known that the store would refuse none of their values.

        Raises:
            StaleWriteOwner: the thread has another owner.
            ClaimConflict: the claim is lost.
        """
        guards = self._commands_of_guards(collection, thread_id)
        batch = (*guards, *commands)
        try:
            # The entry of a claim is the caller's.
            are_checked = are_checked and self._guards.hold is None
            receipt = await self.store.commit(Checked(batch) if are_checked else batch)
        except treadle.VersionConflict as error:
            if error.key == (collection, *OWNER):
                raise StaleWriteOwner(thread_id) from error
            raise
        return receipt.results[len(guards) :]

    def _commands_of_guards(self, collection: str, thread_id: str) -> list[Command[Any]]:
        hold, owned = self._guards
        commands: list[Command[Any]] = []
        if hold is not None:
            entry_id, token = claim_of(hold, None)
            commands.append(Hold(entry_id=entry_id, claim_token=token))
        if owned is not None and owned[0] == thread_id:
            commands.append(CheckDocument(collection=collection, key=OWNER, expected=owned[1]))
        return commands

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
        commands: list[Command[Any]] = [_guard(collection, new.thread_id, root)]
        commands += _commands_of_values(collection, draft)
        head, key = to_json(new.head(draft)), checkpoint_key(new.space, new.id)
        commands.append(PutDocument(collection=collection, key=key, value=head))
        are_checked = is_id(collection) and is_plain(new.texts())
        if new.run_id is not None and new.run_id not in runs:
            runs = frozenset({new.run_id})  # not all of the thread's: they may be many
            commands += self.commands_of_run(collection, run_key(new.run_id), new.thread_id)
            are_checked = False
        stored, *_ = await self.commit(collection, new.thread_id, commands, are_checked=are_checked)
        version = stored.version if root.must_change else root.version
        versions = {channel: str(version) for channel, version in new.versions.items()}
        known = Known(version, versions, draft.small, draft.lists, runs)
        self._known.put(collection, new.space, known)

    def commands_of_run(
        self, collection: str, key: Key, thread_id: str
    ) -> tuple[Command[Any], ...]:
        """Note in a thread, and in the index, that a run has checkpoints there."""
        index = run_index_key(key, thread_id)
        return (
            EnsureDocument(collection=collection, key=key, value=None),
            EnsureDocument(collection=self.runs, key=index, value=thread_id),
        )

    async def save_writes(
        self, collection: str, thread_id: str, writes: Sequence[NewWrite]
    ) -> None:
        """Store writes of a task; a known index stays as it is, unless it is a special one.

        Raises:
            StaleWriteOwner, ClaimConflict: see `commit`.
        """
        commands: list[Command[Any]] = []
        are_checked = is_id(collection)
        for new in writes:
            kind = PutDocument if new.replaces else EnsureDocument
            commands.append(kind(collection=collection, key=new.key, value=to_json(new.write)))
            write = new.write
            texts = (*new.key, write.task_id, write.task_path, write.channel, write.value.format)
            are_checked = are_checked and is_plain(texts)
        await self.commit(collection, thread_id, commands, are_checked=are_checked)

    async def _load_root(self, collection: str) -> "_Root":
        root = await self.store.documents.load(collection, ROOT)
        if root is None:
            return _Root(0, must_change=True)
        return _Root(root.version, must_change=read_value(root, Root).sweeping)


def _guard(collection: str, thread_id: str, root: _Root) -> Command[Any]:
    """The command that commits only if nobody has deleted from the thread since."""
    if not root.must_change:
        return CheckDocument(collection=collection, key=ROOT, expected=root.version)
    value = to_json(Root(thread_id))
    return PutDocument(collection=collection, key=ROOT, value=value, expected=root.version)


def _commands_of_values(collection: str, draft: Draft) -> Iterable[Command[Any]]:
    for new in draft.values:
        # Another checkpoint may have stored a value that is not new.
        kind = PutDocument if new.is_new else EnsureDocument
        yield kind(collection=collection, key=new.key, value=to_json(new.value))
    for key, piece in draft.pieces:
        yield CreateDocument(collection=collection, key=key, value=to_json(piece))


def is_conflict(collection: str, error: treadle.AlreadyExists | treadle.VersionConflict) -> bool:
    """Return whether others changed the thread meanwhile, so that it has to be read again."""
    return isinstance(error, treadle.AlreadyExists) or error.key == (collection, *ROOT)
