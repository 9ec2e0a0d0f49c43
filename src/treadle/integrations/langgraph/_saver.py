"""`TreadleSaver`: the checkpoints of LangGraph in a store of Treadle."""

import copy
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

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
from treadle.integrations.langgraph._calls import Calls
from treadle.integrations.langgraph._codec import Codec
from treadle.integrations.langgraph._history import History, load_history
from treadle.integrations.langgraph._known import KnownThreads, StoredList
from treadle.integrations.langgraph._layout import (
    OWNER,
    PendingWrite,
    collection_of,
    part,
    write_key,
)
from treadle.integrations.langgraph._listing import Listing
from treadle.integrations.langgraph._reading import ChannelValue, Loaded, Reader
from treadle.integrations.langgraph._sweeping import Sweeper
from treadle.integrations.langgraph._writing import Guards, NewCheckpoint, NewWrite, Writer

T = TypeVar("T")


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
        store: treadle.Store,
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
            collection: begins the names of the collections: "langgraph" stores the thread "t" in
                "langgraph.t".
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
        """
        listing = self._list(config, filter, before, limit)
        while page := await self._calls.run(listing.next_page()):
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
        while page := self._calls.wait(listing.next_page()):
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
        return f"{number + 1:032}.{os.urandom(8).hex()}"

    # --- ownership --------------------------------------------------------------------------------

    async def aclaim_write_ownership(self, thread_id: str) -> "TreadleSaver":
        """Return a saver whose writes to a thread fail once somebody else claims the thread.

        Then they raise `StaleWriteOwner`. Savers that have claimed nothing are not refused.
        """
        return await self._calls.run(self._claim(thread_id))

    def claim_write_ownership(self, thread_id: str) -> "TreadleSaver":
        """Do what `aclaim_write_ownership` does, without await."""
        return self._calls.wait(self._claim(thread_id))

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

    # --- what needs the store: it runs on the store's event loop ----------------------------------

    async def _load(self, config: RunnableConfig) -> Loaded | None:
        thread_id, ns = _where(config)
        checkpoint_id = get_checkpoint_id(config) or None
        return await self._reader.load(self._collection(thread_id), part(ns), checkpoint_id)

    async def _load_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, History]:
        if not channels:
            return {}
        thread_id, ns = _where(config)
        checkpoint_id = get_checkpoint_id(config) or None
        return await load_history(
            self._reader, self._collection(thread_id), part(ns), checkpoint_id, channels
        )

    def _save(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Coroutine[Any, Any, None]:
        """Serialize a checkpoint at once, and return what stores it."""
        thread_id, ns = _where(config)
        collection = self._collection(thread_id)
        known = self._known.get(collection, part(ns))
        new = NewCheckpoint(
            self._codec,
            (thread_id, ns, get_checkpoint_id(config)),
            checkpoint,
            get_checkpoint_metadata(config, metadata),
            new_versions,
        )
        return self._writer.save(collection, new, new.draft(known), known)

    def _save_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Coroutine[Any, Any, None]:
        thread_id, ns = _where(config)
        checkpoint_id: str = _configurable(config)["checkpoint_id"]
        new: list[NewWrite] = []  # pyright: ignore[reportInvalidTypeForm]
        for position, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, position)
            key = write_key(part(ns), checkpoint_id, task_id, index)
            write = PendingWrite(task_id, task_path, channel, self._codec.dump_sealed(value))
            new.append(NewWrite(key, write, replaces=index < 0))
        return self._writer.save_writes(self._collection(thread_id), thread_id, new)

    async def _claim(self, thread_id: str) -> "TreadleSaver":
        thread_id = str(thread_id)
        collection = self._collection(thread_id)
        fence = await self._calls.store.documents.put(collection, OWNER, None)
        owner = copy.copy(self)
        owner._guards = self._guards._replace(owned=(thread_id, fence.version))
        return owner

    async def _delete_thread(self, thread_id: str) -> None:
        thread_id = str(thread_id)
        await self._sweeper.delete_thread(self._collection(thread_id), thread_id)

    async def _delete_runs(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            await self._sweeper.delete_run(self._prefix, str(run_id))

    async def _copy(self, source_thread_id: str, target_thread_id: str) -> None:
        source, target = str(source_thread_id), str(target_thread_id)
        await self._sweeper.copy_thread(self._collection(source), self._collection(target), target)

    async def _prune(self, thread_ids: Sequence[str], strategy: str) -> None:
        for thread_id in map(str, thread_ids):
            match strategy:
                case "keep_latest":
                    await self._sweeper.prune(self._collection(thread_id), thread_id)
                case "delete":
                    await self._delete_thread(thread_id)
                case _:
                    raise treadle.InvalidValue(
                        "prune.strategy", f"use 'keep_latest' or 'delete', not {strategy!r}"
                    )

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
            self._reader,
            self._prefix,
            thread_id=None if thread_id is None else str(thread_id),
            space=None if ns is None else part(ns),
            checkpoint_id=configurable.get("checkpoint_id"),
            before=get_checkpoint_id(before) if before is not None else None,
            filter=filter or {},
            limit=limit,
        )

    # --- parts: `with_allowlist` copies a saver and gives it another serializer -------------------

    @property
    def _codec(self) -> Codec:
        return Codec(self.serde)

    @property
    def _reader(self) -> Reader:
        return Reader(self._calls.store, self._codec, self._known)

    @property
    def _writer(self) -> Writer:
        return Writer(self._calls.store, self._codec, self._known, self._prefix, self._guards)

    @property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self._reader, self._writer)

    def _collection(self, thread_id: str) -> str:
        return collection_of(self._prefix, thread_id)

    # --- values -----------------------------------------------------------------------------------

    def _tuple(self, config: RunnableConfig, loaded: Loaded | None) -> CheckpointTuple | None:
        return None if loaded is None else self._decode(_where(config)[0], loaded)

    def _decode(self, thread_id: str, loaded: Loaded) -> CheckpointTuple:
        codec = self._codec
        found = loaded.found
        head = found.head
        values = {channel: _value(codec, value) for channel, value in loaded.values.items()}
        parent = self._config(thread_id, head.ns, head.parent) if head.parent else None
        return CheckpointTuple(
            config=self._config(thread_id, head.ns, found.key[2]),
            checkpoint=cast("Checkpoint", {**found.checkpoint, "channel_values": values}),
            metadata=codec.load_sealed(head.metadata),
            parent_config=parent,
            pending_writes=[_pending(codec, write) for write in found.ordered_writes()],
        )

    def _histories(self, found: Mapping[str, History]) -> Mapping[str, DeltaChannelHistory]:
        codec = self._codec
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
        return [item for piece in value.pieces for item in codec.load(piece.plain)]
    return codec.load(value)


def _pending(codec: Codec, write: PendingWrite) -> tuple[str, str, Any]:
    return write.task_id, write.channel, codec.load_sealed(write.value)
