"""Checkpoints from the databases of LangGraph's own savers."""

import re
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from typing import Any, NamedTuple

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from treadle import InvalidValue, Store
from treadle.integrations._requirements import requires
from treadle.integrations.importing import (
    Imported,
    Written,
    import_each,
    postgres_url,
    reading,
    sqlite_file,
)
from treadle.integrations.langgraph._saver import TreadleSaver

_LIST = """
    SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints
    ORDER BY thread_id, checkpoint_id
"""
_PATHS_SQLITE = """
    SELECT DISTINCT task_id, task_path FROM writes
    WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?
"""
_PATHS_POSTGRES = """
    SELECT DISTINCT task_id, task_path FROM checkpoint_writes
    WHERE thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s
"""

_HAS_PATHS_POSTGRES = """
    SELECT 1 FROM pg_attribute
    WHERE attrelid = to_regclass('checkpoint_writes') AND attname = 'task_path'
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


class _Source(NamedTuple):
    """A database of a saver."""

    saver: Any
    paths: str | None
    """The statement that finds the paths of the tasks of a checkpoint; None: it has none."""

    async def task_paths(self, row: _Row) -> Mapping[str, str]:
        """Return the path of each task with writes: what the tasks wrote is applied in its order.

        A checkpoint that a saver loads does not have them.
        """
        if self.paths is None:
            return {}
        cursor = await self.saver.conn.execute(self.paths, tuple(row))
        return dict(map(_columns, await cursor.fetchall()))


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
        InvalidValue: the source is not a database of a saver, or cannot be read.
        ImportError: the package that reads it is missing.
    """
    target = TreadleSaver(store, serde=Unopened())
    async with _opened(source) as database:
        with reading(source):
            rows = await _list(database.saver)
        threads = [list(group) for _, group in groupby(rows, lambda row: row.thread_id)]

        async def work(thread: list[_Row], written: Written) -> None:
            await _import_thread(database, target, thread, written)

        async for imported in import_each(threads, lambda thread: thread[0].thread_id, work):
            yield imported


async def _import_thread(
    source: _Source, target: TreadleSaver, rows: list[_Row], written: Written
) -> None:
    versions: dict[tuple[str, str], ChannelVersions] = {}
    latest = await target.aget_tuple(_config(rows[0].thread_id, rows[0].ns, None))
    written.is_new = latest is None
    for row in rows:
        found = await source.saver.aget_tuple(row.config)
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
            await _import_writes(target, row.config, found, await source.task_paths(row))
            written.items += stored is not None


async def _import_writes(
    target: TreadleSaver, config: RunnableConfig, found: CheckpointTuple, paths: Mapping[str, str]
) -> None:
    for task_id, writes in groupby(found.pending_writes or (), lambda write: write[0]):
        new = [(channel, value) for _, channel, value in writes]
        await target.aput_writes(config, new, task_id, paths.get(task_id, ""))


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
async def _opened(source: str) -> AsyncGenerator[_Source]:
    path = sqlite_file(source)
    if path is not None:
        with requires("langgraph-checkpoint-sqlite"):
            import aiosqlite
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        uri = f"{path.absolute().as_uri()}?mode=ro"
        async with aiosqlite.connect(uri, uri=True) as connection:
            copied = AsyncSqliteSaver(connection, serde=Unopened())
            copied.is_setup = True  # else it would make tables, and change the mode of the journal
            # An older saver had no paths. One that is set up would find that out by itself.
            has_paths = await _has_paths(connection)
            copied._has_task_path = has_paths  # pyright: ignore[reportPrivateUsage]
            yield _Source(copied, _PATHS_SQLITE if has_paths else None)
        return
    if postgres_url(source) is None:
        raise InvalidValue("source", "name a database: sqlite:///x.db or postgresql://host/name")
    with requires("langgraph-checkpoint-postgres"):
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    async with AsyncExitStack() as stack:
        with reading(source):
            opening = AsyncPostgresSaver.from_conn_string(source, serde=Unopened())
            saver: Any = await stack.enter_async_context(opening)
            cursor = await saver.conn.execute(_HAS_PATHS_POSTGRES)
            has_paths = await cursor.fetchone() is not None
        if not has_paths:
            # It would ask for them, and adds the column only where it may write.
            saver.SELECT_SQL = _without_paths(saver.SELECT_SQL)
            saver.SELECT_PENDING_SENDS_SQL = _without_paths(saver.SELECT_PENDING_SENDS_SQL)
        yield _Source(saver, _PATHS_POSTGRES if has_paths else None)


async def _list(saver: Any) -> list[_Row]:
    try:
        cursor = await saver.conn.execute(_LIST)
        rows = await cursor.fetchall()
    except Exception as error:
        if isinstance(error, sqlite3.DatabaseError) or _is_missing_table(error):
            raise _no_checkpoints(error) from error
        raise
    return [_Row(*_columns(row)) for row in rows]


def _columns(row: Any) -> Any:
    return row.values() if isinstance(row, dict) else row


async def _has_paths(connection: Any) -> bool:
    try:
        columns = await connection.execute_fetchall("PRAGMA table_info(writes)")
    except sqlite3.DatabaseError as error:
        raise _no_checkpoints(error) from error
    return any(column[1] == "task_path" for column in columns)


def _without_paths(statement: str) -> str:
    return re.sub(r"\b(cw\.)?task_path\b", "''::text", statement)


def _no_checkpoints(error: Exception) -> InvalidValue:
    return InvalidValue("source", f"it has no checkpoints of LangGraph: {error}")


def _is_missing_table(error: Exception) -> bool:
    return getattr(error, "sqlstate", None) == "42P01"
