"""Checkpoints from the databases of LangGraph's own savers."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any, NamedTuple

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, ChannelVersions, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from treadle import InvalidValue, Store
from treadle.integrations._requirements import requires
from treadle.integrations.importing import Imported, Written, import_each, sqlite_file
from treadle.integrations.langgraph._saver import TreadleSaver

_LIST = """
    SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints
    ORDER BY thread_id, checkpoint_id
"""


class _Row(NamedTuple):
    """A checkpoint of the source."""

    thread_id: str
    ns: str
    checkpoint_id: str

    @property
    def config(self) -> RunnableConfig:
        """What finds it."""
        return _config(self.thread_id, self.ns, self.checkpoint_id)


class Unopened(JsonPlusSerializer):
    """Reads values without making their objects, and writes the same bytes again.

    The classes of an application cannot be imported here, and need not be.
    """

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return a value; objects in it stay as they were encoded."""
        kind, content = data
        if kind == "msgpack":
            option = ormsgpack.OPT_NON_STR_KEYS
            return ormsgpack.unpackb(content, ext_hook=ormsgpack.Ext, option=option)
        return super().loads_typed(data)


async def import_checkpoints(store: Store, source: str) -> AsyncGenerator[Imported]:
    """Import the checkpoints of LangGraph's saver for SQLite or PostgreSQL.

    Each thread comes with its checkpoints, namespaces and pending writes, under the same ids.
    Checkpoints that the store has stay as they are, so an import can be repeated. It reads one
    thread after the other, and the source is not changed.

    Args:
        store: an open store.
        source: "sqlite:///checkpoints.db", which needs `langgraph-checkpoint-sqlite`, or
            "postgresql://…", which needs `langgraph-checkpoint-postgres`.

    Raises:
        InvalidValue: the source is no database of a saver.
        ImportError: the package that reads it is missing.
    """
    target = TreadleSaver(store, serde=Unopened())
    async with _opened(source) as saver:
        rows = await _list(saver)
        threads = [list(group) for _, group in groupby(rows, lambda row: row.thread_id)]

        async def work(thread: list[_Row], written: Written) -> None:
            await _import_thread(saver, target, thread, written)

        async for imported in import_each(threads, lambda thread: thread[0].thread_id, work):
            yield imported


async def _import_thread(
    source: BaseCheckpointSaver[Any], target: TreadleSaver, rows: list[_Row], written: Written
) -> None:
    versions: dict[tuple[str, str], ChannelVersions] = {}
    latest = await target.aget_tuple(_config(rows[0].thread_id, rows[0].ns, None))
    written.is_new = latest is None
    for row in rows:
        found = await source.aget_tuple(row.config)
        if found is None:
            continue  # deleted since they were listed
        stored = await target.aget_tuple(row.config)
        parent = _parent_of(found)
        current = found.checkpoint["channel_versions"]
        known = {} if parent is None else versions.get((row.ns, parent), {})
        versions[row.ns, row.checkpoint_id] = current
        if stored is None:
            new = {name: each for name, each in current.items() if known.get(name) != each}
            config = _config(row.thread_id, row.ns, parent)
            await target.aput(config, found.checkpoint, found.metadata, new)
            written.items += 1
        if _count_writes(found) > _count_writes(stored):
            await _import_writes(target, row.config, found)
            written.items += stored is not None


async def _import_writes(
    target: TreadleSaver, config: RunnableConfig, found: CheckpointTuple
) -> None:
    for task_id, writes in groupby(found.pending_writes or (), lambda write: write[0]):
        await target.aput_writes(
            config, [(channel, value) for _, channel, value in writes], task_id
        )


def _count_writes(found: CheckpointTuple | None) -> int:
    return 0 if found is None else len(found.pending_writes or ())


def _parent_of(found: CheckpointTuple) -> str | None:
    configurable = (found.parent_config or {}).get("configurable", {})
    parent: str | None = configurable.get("checkpoint_id")
    return parent


def _config(thread_id: str, ns: str, checkpoint_id: str | None) -> RunnableConfig:
    configurable = {"thread_id": thread_id, "checkpoint_ns": ns}
    if checkpoint_id is not None:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}


@asynccontextmanager
async def _opened(source: str) -> AsyncGenerator[BaseCheckpointSaver[Any]]:
    path = sqlite_file(source)
    if path is not None:
        with requires("langgraph-checkpoint-sqlite"):
            import aiosqlite
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        uri = f"{path.absolute().as_uri()}?mode=ro"
        async with aiosqlite.connect(uri, uri=True) as connection:
            copied = AsyncSqliteSaver(connection, serde=Unopened())
            copied.is_setup = True  # else it would make tables, and change the mode of the journal
            yield copied
        return
    if not source.startswith(("postgresql://", "postgres://")):
        raise InvalidValue("source", "name a database: sqlite:///x.db or postgresql://host/name")
    with requires("langgraph-checkpoint-postgres"):
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncPostgresSaver.from_conn_string(source, serde=Unopened()) as saver:
        yield saver


async def _list(saver: Any) -> list[_Row]:
    try:
        cursor = await saver.conn.execute(_LIST)
        rows = await cursor.fetchall()
    except Exception as error:
        if isinstance(error, sqlite3.DatabaseError) or _is_missing_table(error):
            raise InvalidValue("source", f"it has no checkpoints of LangGraph: {error}") from error
        raise
    return [_Row(*(row.values() if isinstance(row, dict) else row)) for row in rows]


def _is_missing_table(error: Exception) -> bool:
    return getattr(error, "sqlstate", None) == "42P01"
