"""`TreadleSaver`: the checkpoints of LangGraph in a store of Treadle."""

import copy
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

import treadle
from treadle.clock import random_number
from treadle.integrations.langgraph._calls import AnyStore, Calls, Work
from treadle.integrations.langgraph._codec import Codec
from treadle.integrations.langgraph._history import History, load_history
from treadle.integrations.langgraph._known import KnownThreads
from treadle.integrations.langgraph._layout import (
    OWNER,
    PendingWrite,
    collection_of,
    part,
    write_key,
)
from treadle.integrations.langgraph._listing import Listing
from treadle.integrations.langgraph._lists import StoredList
from treadle.integrations.langgraph._reading import ChannelValue, Loaded, Reader
from treadle.integrations.langgraph._sweeping import Sweeper
from treadle.integrations.langgraph._writing import Guards, NewCheckpoint, NewWrite, Writer

_Page: TypeAlias = "list[tuple[str, Loaded]]"
"""Checkpoints, each with the id of its thread."""


class TreadleSaver(BaseCheckpointSaver[str]):
    """A checkpointer: `builder.compile(checkpointer=TreadleSaver(store))`.

    Each LangGraph thread is a collection of documents. A checkpoint is one commit, together with
    the values of the channels that it changed. A list that has grown is stored by writing only what
    is new, so a conversation takes as much room as its messages.

    Any number of processes may use a thread. With `hold`, only the worker that holds the claim can
    write; see also `aclaim_write_ownership`.
    """

    def __init__(
        self,
        store: AnyStore,
        *,
        serde: SerializerProtocol | None = None,
        hold: treadle.MailboxEntry | None = None,
        collection: str = "langgraph",
    ) -> None:
        """Keep checkpoints in a store.

        Args:
            store: an open store. For `graph.invoke` and other calls without `await`, it is one of
                `treadle.blocking.open_store`.
            serde: how values become bytes. The default is LangGraph's `JsonPlusSerializer`; an
                `EncryptedSerializer` encrypts all values.
            hold: a claimed entry of a mailbox, such as `delivery.entry` of a worker. Each write
                commits only while the claim is held, else it raises `ClaimConflict`.
            collection: the prefix of the collections: "langgraph" stores the thread "t" in the
                collection "langgraph.t".
        """
        super().__init__(serde=serde)
        self._calls = Calls(store)
        self._known = KnownThreads()
        self._prefix = collection
        self._guards = Guards(hold=hold)

    # --- reading ----------------------------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Load a checkpoint, or the newest one of its thread and namespace.

        Raises:
            CorruptRecord: a part of it is missing or damaged.
        """
        return self._tuple(config, await self._calls.run(self._load(config)))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Do what `aget_tuple` does, without await."""
        return self._tuple(config, self._calls.wait(self._load(config)))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """List checkpoints of a thread, newest first in each namespace; None: of all threads.

        Args:
            config: the thread, and the namespace and the checkpoint if they are given.
            filter: what the metadata must have.
            before: only checkpoints before this one.
            limit: how many at most.

        Raises:
            CorruptRecord: a part of one is missing or damaged.
        """
        listing = self._list(config, filter, before, limit)
        while page := await self._calls.run(self._next_page(listing)):
            for thread_id, loaded in page:
                yield self._decode(thread_id, loaded)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Do what `alist` does, without await."""
        listing = self._list(config, filter, before, limit)
        while page := self._calls.wait(self._next_page(listing)):
            for thread_id, loaded in page:
                yield self._decode(thread_id, loaded)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Load what was written to delta channels since their last stored value.

        Raises:
            CorruptRecord: the checkpoint, or one that it needs, was deleted.
        """
        return self._histories(await self._calls.run(self._load_history(config, channels)))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Do what `aget_delta_channel_history` does, without await."""
        return self._histories(self._calls.wait(self._load_history(config, channels)))

    # --- writing ----------------------------------------------------------------------------------

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, in one commit with the new values of its channels.

        Raises:
            ClaimConflict: the claim of `hold` is lost.
            StaleWriteOwner: another writer has claimed the thread.
        """
        await self._calls.run(self._save(config, checkpoint, metadata, new_versions))
        return self._config(*_where(config), checkpoint["id"])

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Do what `aput` does, without await."""
        self._calls.wait(self._save(config, checkpoint, metadata, new_versions))
        return self._config(*_where(config), checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store writes of a task, in one commit; a write that is stored already stays as it is.

        Errors and interrupts replace earlier ones of the task.

        Raises:
            ClaimConflict, StaleWriteOwner: as for `aput`.
        """
        await self._calls.run(self._save_writes(config, writes, task_id, task_path))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Do what `aput_writes` does, without await."""
        self._calls.wait(self._save_writes(config, writes, task_id, task_path))

    def get_next_version(self, current: str | int | None, channel: None) -> str:
        """Return the version after `current`; no other writer gives out the same one."""
        number = 0 if current is None else int(str(current).partition(".")[0])
        return f"{number + 1:032}.{random_number(64):016x}"

    # --- ownership --------------------------------------------------------------------------------

    async def aclaim_write_ownership(self, thread_id: str) -> "TreadleSaver":
        """Return a saver whose writes to a thread fail once somebody else claims the thread.

        Then they raise `StaleWriteOwner`. Savers that have claimed nothing are not refused.

        Raises:
            ClaimConflict: the claim of `hold` is lost.
        """
        return self._owner(thread_id, await self._calls.run(self._claim(thread_id)))

    def claim_write_ownership(self, thread_id: str) -> "TreadleSaver":
        """Do what `aclaim_write_ownership` does, without await."""
        return self._owner(thread_id, self._calls.wait(self._claim(thread_id)))

    # --- deleting and copying ---------------------------------------------------------------------

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints and writes of a thread."""
        await self._calls.run(self._delete_thread(thread_id))

    def delete_thread(self, thread_id: str) -> None:
        """Do what `adelete_thread` does, without await."""
        self._calls.wait(self._delete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, in all threads: those with this `run_id` as metadata."""
        await self._calls.run(self._delete_runs(run_ids))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Do what `adelete_for_runs` does, without await."""
        self._calls.wait(self._delete_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes of a thread to another one."""
        await self._calls.run(self._copy(source_thread_id, target_thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Do what `acopy_thread` does, without await."""
        self._calls.wait(self._copy(source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete old checkpoints.

        Args:
            thread_ids: the threads.
            strategy: "keep_latest" keeps the newest checkpoint of each namespace, and those that
                its delta channels are rebuilt from. "delete" keeps none.

        Raises:
            VersionConflict: a thread was written to again and again meanwhile; try later.
        """
        await self._calls.run(self._prune(thread_ids, strategy))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Do what `aprune` does, without await."""
        self._calls.wait(self._prune(thread_ids, strategy))

    # --- what is done with the store --------------------------------------------------------------

    def _load(self, config: RunnableConfig) -> Work[Loaded | None]:
        thread_id, ns = _where(config)
        collection, checkpoint_id = self._collection(thread_id), get_checkpoint_id(config) or None
        return lambda store: self._reader(store).load(collection, part(ns), checkpoint_id)

    def _load_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Work[Mapping[str, History]]:
        thread_id, ns = _where(config)
        collection, checkpoint_id = self._collection(thread_id), get_checkpoint_id(config) or None
        return lambda store: load_history(
            self._reader(store), collection, part(ns), checkpoint_id, channels
        )

    def _next_page(self, listing: Listing) -> Work[_Page]:
        return lambda store: listing.next_page(self._reader(store))

    def _save(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Work[None]:
        """Serialize a checkpoint now, and return what stores it."""
        thread_id, ns = _where(config)
        collection, codec = self._collection(thread_id), Codec(self.serde)
        known = self._known.get(collection, part(ns))
        new = NewCheckpoint(
            codec,
            (thread_id, ns, get_checkpoint_id(config)),
            checkpoint,
            get_checkpoint_metadata(config, metadata),
            new_versions,
        )
        draft = new.draft(known)
        return lambda store: self._writer(store).save(collection, new, draft, known)

    def _save_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Work[None]:
        """Serialize writes now, and return what stores them."""
        thread_id, ns = _where(config)
        codec = Codec(self.serde)
        checkpoint_id: str = _configurable(config)["checkpoint_id"]

        def new_write(position: int, channel: str, value: Any) -> NewWrite:
            index = WRITES_IDX_MAP.get(channel, position)
            write = PendingWrite(task_id, task_path, channel, codec.dump_sealed(value))
            key = write_key(part(ns), checkpoint_id, task_id, index)
            return NewWrite(key, write, replaces=index < 0)

        new = [new_write(position, *write) for position, write in enumerate(writes)]
        collection = self._collection(thread_id)
        return lambda store: self._writer(store).save_writes(collection, thread_id, new)

    def _claim(self, thread_id: str) -> Work[treadle.Stored]:
        collection = self._collection(str(thread_id))

        async def claim(store: treadle.Store) -> treadle.Stored:
            async with store.batch() as step:
                if self._guards.hold is not None:
                    step.mailboxes.hold(self._guards.hold)
                claimed = step.documents.put(collection, OWNER, None)
            return claimed.result

        return claim

    def _owner(self, thread_id: str, fence: treadle.Stored) -> "TreadleSaver":
        owner = copy.copy(self)
        owner._guards = self._guards._replace(owned=(str(thread_id), fence.version))
        return owner

    def _delete_thread(self, thread_id: str) -> Work[None]:
        thread_id = str(thread_id)
        collection = self._collection(thread_id)
        return lambda store: self._sweeper(store).delete_thread(collection, thread_id)

    def _delete_runs(self, run_ids: Sequence[str]) -> Work[None]:
        runs = list(map(str, run_ids))
        return lambda store: self._sweeper(store).delete_runs(self._prefix, runs)

    def _copy(self, source_thread_id: str, target_thread_id: str) -> Work[None]:
        source, target = map(self._collection, (str(source_thread_id), str(target_thread_id)))
        thread_id = str(target_thread_id)
        return lambda store: self._sweeper(store).copy_thread(source, target, thread_id)

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Work[None]:
        if strategy not in ("keep_latest", "delete"):
            reason = f"use 'keep_latest' or 'delete', not {strategy!r}"
            raise treadle.InvalidValue("prune.strategy", reason)
        threads = {self._collection(str(each)): str(each) for each in thread_ids}

        async def prune(store: treadle.Store) -> None:
            sweeper = self._sweeper(store)
            delete = sweeper.prune if strategy == "keep_latest" else sweeper.delete_thread
            for collection, thread_id in threads.items():
                await delete(collection, thread_id)

        return prune

    def _list(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Listing:
        configurable = _configurable(config) if config is not None else {}
        thread_id, ns = configurable.get("thread_id"), configurable.get("checkpoint_ns")
        return Listing(
            self._prefix,
            thread_id=None if thread_id is None else str(thread_id),
            space=None if ns is None else part(ns),
            checkpoint_id=configurable.get("checkpoint_id"),
            before=get_checkpoint_id(before) if before is not None else None,
            filter=filter or {},
            limit=limit,
        )

    def _reader(self, store: treadle.Store) -> Reader:
        return Reader(store, Codec(self.serde), self._known)

    def _writer(self, store: treadle.Store) -> Writer:
        return Writer(store, Codec(self.serde), self._known, self._prefix, self._guards)

    def _sweeper(self, store: treadle.Store) -> Sweeper:
        return Sweeper(self._reader(store), self._writer(store))

    def _collection(self, thread_id: str) -> str:
        return collection_of(self._prefix, thread_id)

    # --- values -----------------------------------------------------------------------------------

    def _tuple(self, config: RunnableConfig, loaded: Loaded | None) -> CheckpointTuple | None:
        return None if loaded is None else self._decode(_where(config)[0], loaded)

    def _decode(self, thread_id: str, loaded: Loaded) -> CheckpointTuple:
        codec = Codec(self.serde)
        found = loaded.found
        head = found.head
        values = {channel: _value(codec, value) for channel, value in loaded.values.items()}
        parent = self._config(thread_id, head.ns, head.parent) if head.parent else None
        return CheckpointTuple(
            config=self._config(thread_id, head.ns, found.id),
            checkpoint=cast("Checkpoint", {**found.checkpoint, "channel_values": values}),
            metadata=codec.load_sealed(head.metadata),
            parent_config=parent,
            pending_writes=[_pending(codec, write) for write in found.ordered_writes()],
        )

    def _histories(self, found: Mapping[str, History]) -> Mapping[str, DeltaChannelHistory]:
        codec = Codec(self.serde)
        histories: dict[str, DeltaChannelHistory] = {}
        for channel, history in found.items():
            writes = [_pending(codec, write) for write in history.writes]
            histories[channel] = {"writes": writes}
            if history.seed is not None:
                histories[channel]["seed"] = _value(codec, history.seed)
        return histories

    def _config(self, thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
        return {
            "configurable": {
                "thread_id": thread_id,
                "checkpoint_ns": ns,
                "checkpoint_id": checkpoint_id,
            }
        }


def _where(config: RunnableConfig) -> tuple[str, str]:
    """Return the thread and the namespace."""
    configurable = _configurable(config)
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or ""


def _configurable(config: RunnableConfig) -> dict[str, Any]:
    return config.get("configurable", {})


def _value(codec: Codec, value: ChannelValue) -> Any:
    if isinstance(value, StoredList):
        return value.load(codec)
    return codec.load(value)


def _pending(codec: Codec, write: PendingWrite) -> tuple[str, str, Any]:
    return write.task_id, write.channel, codec.load_sealed(write.value)
