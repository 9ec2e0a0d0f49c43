"""`python -m benchmarks.profiling`: a table for each commit, with a row for each backend."""

import argparse
import asyncio
import statistics
import tempfile
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

import msgspec

import treadle
from benchmarks import server
from benchmarks.measure import timed
from benchmarks.profiling.commits import COMMITS, Operation, Prepare
from benchmarks.profiling.layers import LAYERS, Profiler, Spent
from benchmarks.stores import KNOWN, url_in
from benchmarks.tables import Column, Row, Table, lines

BACKENDS = (*KNOWN, "postgres")
OPERATIONS = 500
QUICK = 10
WARM = 10
"""Operations before those that are timed."""
EPILOG = """\
An operation is timed three times: as it is; with relaxed durability, of which the difference is
"sync"; and with relaxed durability under a profiler, which adds up the time of each layer. "hop"
also has what is left of the time, in which threads wait to be woken. Each figure is a median; one
caller does one operation after the other.

layers:
  caller   the API and its checks, on the caller's event loop
  hop      the event loop, and the way to the backend's thread and back
  rules    the model, which decides what a commit changes
  program  the backend's code: what it reads, the working set, statements

examples:
  make profile
  make profile ARGS="--store sqlite --store postgres append ack"
"""

Durability: TypeAlias = Literal["full", "relaxed"]


def columns() -> tuple[Column, ...]:
    """Return the columns of the tables."""
    return (
        Column("caller", "caller"),
        Column("hop", "hop"),
        Column("rules", "rules"),
        Column("program", "program"),
        Column("io", "SQL or files"),
        Column("sync", "sync"),
        Column("total", "total"),
        Column("calls", "calls"),
    )


async def measure(url: str, folder: Path, prepare: Prepare, operations: int) -> dict[str, float]:
    """Measure a commit on a backend, in microseconds."""
    profiler = Profiler()
    full: list[float] = []
    relaxed: list[float] = []
    profiled: list[Spent] = []
    async with AsyncExitStack() as ending:

        async def prepared(durability: Durability) -> Operation:
            store = treadle.open_store(_new(url, folder), durability=durability, migrate=True)
            return await prepare(await ending.enter_async_context(store), operations + WARM)

        as_it_is, without_sync = await prepared("full"), await prepared("relaxed")
        with profiler.threads():
            under_profiler = await prepared("relaxed")
        # They take turns, so that a slow moment of the machine affects all of them.
        for number in range(operations + WARM):
            full.append(await timed(as_it_is(number)))
            relaxed.append(await timed(without_sync(number)))
            profiled.append(await profiler.run(under_profiler(number)))
    return _figures(full[WARM:], relaxed[WARM:], profiled[WARM:])


def _figures(full: list[float], relaxed: list[float], profiled: list[Spent]) -> dict[str, float]:
    figures: dict[str, float] = {
        layer: statistics.median(each.layers[layer] for each in profiled) * 1e6
        for layer in LAYERS
        if layer != "waiting"
    }
    without_sync, total = statistics.median(relaxed) * 1e6, statistics.median(full) * 1e6
    figures["hop"] += without_sync - sum(figures.values())
    calls = statistics.median(each.calls for each in profiled)
    return {**figures, "sync": total - without_sync, "total": total, "calls": calls}


def _new(url: str, folder: Path) -> str:
    """Return the URL of an empty store."""
    name = uuid4().hex[:12]
    if url.startswith("postgres"):
        return server.Address.of(url).uri(schema=f"profile_{name}")
    new = folder / name
    new.mkdir()
    return url_in(url, new)


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profiling",
        usage='make profile ARGS="[OPTIONS] [COMMIT ...]"',
        description="Measure how long each layer of Treadle takes for the most common commits.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "commits", nargs="*", metavar="COMMIT", help=f"{', '.join(COMMITS)}; default: all"
    )
    parser.add_argument(
        "--store",
        action="append",
        choices=BACKENDS,
        help="the backend to measure; may be repeated; default: all",
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} operations of each")
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", action="store_true", help="write the tables as JSON")
    options = parser.parse_args()
    unknown = [commit for commit in options.commits if commit not in COMMITS]
    if unknown:
        parser.error(f"there is no commit {unknown[0]!r}; use {', '.join(COMMITS)}")
    return options


def profile(commit: str, urls: dict[str, str], folder: Path, operations: int) -> Table:
    """Measure a commit on each backend; on one without a URL, say that there is no server."""
    rows = [
        Row(
            who=backend,
            durability="none" if backend == "memory" else "full",
            figures=asyncio.run(measure(url, folder, COMMITS[commit], operations)),
        )
        if url
        else Row(who=backend, missing=server.missing())
        for backend, url in urls.items()
    ]
    work = f"{operations:,} times by one caller; µs in each layer"
    return Table(name=commit, work=work, columns=columns(), rows=tuple(rows))


def main() -> None:
    """Measure, and write the tables."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, ExitStack() as ending:
        folder = Path(name)
        urls = {backend: KNOWN.get(backend, "") for backend in options.store or BACKENDS}
        if "postgres" in urls and not server.missing():
            urls["postgres"] = ending.enter_context(server.running(folder))
        operations = QUICK if options.quick else OPERATIONS
        tables = [
            profile(commit, urls, folder, operations) for commit in options.commits or COMMITS
        ]
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(tables), indent=2).decode())
        return
    for table in tables:
        print("\n".join(lines(table)), end="\n\n")


if __name__ == "__main__":
    main()
