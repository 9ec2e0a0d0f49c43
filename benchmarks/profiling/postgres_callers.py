"""`python -m benchmarks.profiling.postgres_callers`: what an append of 64 callers takes, and where.

By hand with a commit for each append, by hand with a commit for 64 of them, and by Treadle, in
turns: the CPU of this process and that of the server, which together say what a machine can do.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import server
from benchmarks.peers.base import ThreadSubject
from benchmarks.peers.postgres.base import CONNECTIONS, PostgresSubject
from benchmarks.peers.postgres.by_hand import INSERT_THREAD, THREADS, AppendsInPipelinesByHand
from benchmarks.peers.postgres.treadle_store import TreadleThreadsOnPostgres
from benchmarks.server import Address, connect
from benchmarks.tables import Column, Row, Table, lines
from benchmarks.texts import text, texts

CALLERS = 64
LOCK = "select key, version, count from threads where key = any(%s) order by key for no key update"
INSERT_MESSAGES = (
    "insert into messages select * from unnest(%s::bigint[], %s::bigint[], %s::text[])"
)
INSERT_DELTAS = "insert into deltas select * from unnest(%s::bigint[], %s::bigint[], %s::text[])"
UPDATE_THREADS = (
    "update threads set version = given.version, count = given.count"
    " from unnest(%s::bigint[], %s::bigint[], %s::bigint[]) as given (key, version, count)"
    " where threads.key = given.key"
)


class Pool:
    """Connections that are waited for in turn; a package for it need not be installed."""

    def __init__(self) -> None:
        self._free: asyncio.Queue[Any] = asyncio.Queue()

    async def open(self, address: str) -> None:
        """Connect."""
        psycopg: Any = import_module("psycopg")
        for _ in range(CONNECTIONS):
            self._free.put_nowait(
                await psycopg.AsyncConnection.connect(address, autocommit=True, prepare_threshold=2)
            )

    async def close(self) -> None:
        """Close all."""
        while not self._free.empty():
            await self._free.get_nowait().close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Wait for a connection, and give it back at the end."""
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)


class AppendsByHand(AppendsInPipelinesByHand):
    """A commit for each append, on 16 connections."""

    name = "by hand (psycopg, 16 connections)"
    distribution = "psycopg"

    async def begin(self) -> None:
        self.run(self.address, THREADS)
        self.pool = Pool()
        await self.pool.open(self.address.uri())


class GroupsByHand(PostgresSubject, ThreadSubject):
    """Commit the appends of all callers in one transaction, in two round trips, without asyncio."""

    name = "by hand (psycopg, 64 appends in a commit)"

    async def begin(self) -> None:
        self.run(self.address, THREADS)
        self.connection: Any = connect(self.address)
        self.connection.autocommit = True
        self.connection.prepare_threshold = 2

    async def end(self) -> None:
        self.connection.close()

    async def start(self, name: str, texts: Sequence[str] = ()) -> int:
        found: tuple[int] = self.connection.execute(INSERT_THREAD, (name, 0, 0)).fetchone()
        return found[0]

    async def append(self, thread: Any, text: str) -> None:
        self.append_together([thread], text)

    def append_together(self, keys: Sequence[int], text: str) -> None:
        """Append to several threads in one commit."""
        execute = self.connection.execute
        with self.connection.pipeline():
            execute("begin")
            heads = execute(LOCK, (list(keys),)).fetchall()
        found = [key for key, _, _ in heads]
        versions = [version + 1 for _, version, _ in heads]
        counts = [count for _, _, count in heads]
        bodies = [json.dumps({"role": "user", "content": text}) for _ in heads]
        with self.connection.pipeline():
            execute(INSERT_MESSAGES, (found, counts, bodies))
            execute(INSERT_DELTAS, (found, versions, [f"[{count}]" for count in counts]))
            execute(UPDATE_THREADS, (found, versions, [count + 1 for count in counts]))
            execute("commit")

    async def last(self, thread: Any, count: int) -> Sequence[object]:
        raise NotImplementedError("nobody reads here")


SUBJECTS: tuple[Any, ...] = (AppendsByHand, GroupsByHand, TreadleThreadsOnPostgres)


async def _append(subject: Any, threads: Sequence[Any], each: int) -> None:
    if isinstance(subject, GroupsByHand):
        for number in range(each):
            subject.append_together(threads, text(number))
        return

    async def call(thread: Any) -> None:
        for number in range(each):
            await subject.append(thread, text(number))

    await asyncio.gather(*map(call, threads))


class Server:
    """The server's processes, on this machine and under Linux."""

    def __init__(self, address: Address) -> None:
        with connect(address) as connection:
            (backend,) = connection.execute("select pg_backend_pid()").fetchone()
            self._number = _stat(Path(f"/proc/{backend}/stat"))[1]

    def seconds(self) -> float:
        """Return the CPU that they have used; those who ended are left out."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                found = _stat(path)
            except OSError:  # it has ended
                continue
            if found[1] == self._number:
                ticks += int(found[11]) + int(found[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _stat(path: Path) -> list[str]:
    """Return what follows the name of a process: its state, its parent, and so on."""
    return path.read_text().rpartition(") ")[2].split()


async def measure(folder: Path, url: str, each: int, turns: int) -> list[Row]:
    """Measure all subjects in turns, `each` appends of each caller."""
    opened: list[tuple[Any, list[Any]]] = []
    for number, kind in enumerate(SUBJECTS):
        subject = kind(folder / str(number), url)
        await subject.open()
        opened.append((subject, [await subject.start(f"t{caller}") for caller in range(CALLERS)]))
    processes = Server(opened[0][0].address)
    taken: list[list[tuple[float, float, float]]] = [[] for _ in opened]
    for _ in range(turns + 1):
        for (subject, threads), found in zip(opened, taken, strict=True):
            start = time.perf_counter(), time.process_time(), processes.seconds()
            await _append(subject, threads, each)
            end = time.perf_counter(), time.process_time(), processes.seconds()
            found.append((end[0] - start[0], end[1] - start[1], end[2] - start[2]))
    rows = [
        _row(subject, found[1:], each * CALLERS)
        for (subject, _), found in zip(opened, taken, strict=True)
    ]
    for subject, _ in opened:
        await subject.close()
    return rows


def _row(subject: Any, taken: Sequence[tuple[float, float, float]], count: int) -> Row:
    wall, client, server_side = (
        statistics.median(each) / count * 1e6 for each in zip(*taken, strict=True)
    )
    figures = {
        "rate": 1e6 / wall,
        "client": client,
        "server": server_side,
        "both": client + server_side,
        "most": 2e6 / (client + server_side),
    }
    return Row(who=subject.name, durability=subject.durability(), figures=figures)


def columns() -> tuple[Column, ...]:
    """Return the columns of the table."""
    return (
        Column("rate", "a second"),
        Column("client", "client CPU, µs"),
        Column("server", "server CPU, µs"),
        Column("both", "both, µs"),
        Column("most", "a second, if two cores were never idle"),
    )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling.postgres_callers")
    parser.add_argument("--each", type=int, default=40, help="appends of each caller; 40")
    parser.add_argument("--turns", type=int, default=7, help="turns; 7")
    options = parser.parse_args()
    texts(options.each)  # created before anything is timed
    with tempfile.TemporaryDirectory() as name, server.running(Path(name)) as url:
        rows = asyncio.run(measure(Path(name), url, options.each, options.turns))
    work = f"{CALLERS} callers append 1 KB, each to a thread of its own, on PostgreSQL"
    print("\n".join(lines(Table(name="callers", work=work, columns=columns(), rows=tuple(rows)))))


if __name__ == "__main__":
    main()
