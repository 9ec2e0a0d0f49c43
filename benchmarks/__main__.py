"""`python -m benchmarks`: tables on standard output, and JSON in `benchmarks/results`."""

import argparse
import asyncio
import os
import platform
import sqlite3
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks import files, server
from benchmarks.beside_peers import Run, measure_all
from benchmarks.floors import sync_floor
from benchmarks.measure import Measure, Target
from benchmarks.sizes import QUICK, Sizes
from benchmarks.stores import KNOWN, default_stores, url_of
from benchmarks.tables import Table, lines
from benchmarks.targets import judge_files, judge_tables
from benchmarks.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "results"
FILES = "files"
PARTS = {FILES: FILES} | {name.replace(" ", "-"): name for name in WORKLOADS}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found, and on what machine."""

    python: str
    system: str
    cores: int
    sqlite: str
    syncs_per_second: int
    tables: tuple[Table, ...]
    measures: tuple[Measure, ...]
    """Of the files backend."""
    targets: tuple[Target, ...]


def measure(parts: list[str], run: Run, quick: bool) -> Result:
    """Measure the parts."""
    run.tell("floors")
    syncs = round(1e6 / sync_floor(run.folder, 30 if quick else 300))
    measures: list[Measure] = []
    if FILES in parts:
        sizes = files.QUICK if quick else files.FileSizes()
        measures = asyncio.run(files.measure_all(run.folder, sizes, run.tell))
    tables = measure_all(run, [PARTS[part] for part in parts if part != FILES])
    return Result(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 0,
        sqlite=sqlite3.sqlite_version,
        syncs_per_second=syncs,
        tables=tuple(tables),
        measures=tuple(measures),
        targets=(*(judge_files(measures, syncs) if measures else ()), *judge_tables(tables)),
    )


def show(result: Result) -> None:
    """Write the tables."""
    print(
        f"Python {result.python}, SQLite {result.sqlite}, {result.system}, {result.cores} cores, "
        f"{result.syncs_per_second:,} syncs a second\n"
        "Each figure is the median over its runs; x floor compares turns next to each other, so it "
        "is no quotient\nof the columns beside it where the disk changed its pace in between.\n"
    )
    for table in result.tables:
        print("\n".join(lines(table)), end="\n\n")
    if result.measures:
        show_measures(result.measures)
    for target in result.targets:
        verdict = "met   " if target.met else "MISSED"
        print(f"{verdict} {target.name}: {target.measured:,} ({target.wanted})")


def show_measures(measures: tuple[Measure, ...]) -> None:
    """Write the table of the files backend."""
    row = "{:<32} {:>11} {:>10} {:>8}  {}"
    print(row.format("files, durability full", "median", "a second", "x floor", "floor"))
    for each in measures:
        median = f"{each.microseconds:,.0f} µs"
        rate = f"{each.per_second:,.0f}"
        print(row.format(each.name, median, rate, f"{each.times_floor:.2f}", each.floor))
    print()


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Weft beside its peers, and beside the same syncs by hand.",
        epilog="example: python -m benchmarks queue flatness --store sqlite --folder /mnt/fast",
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all of them"
    )
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--folder", type=Path, help="the disk to measure; default: the temporary")
    parser.add_argument(
        "--store",
        action="append",
        help=f"where Weft keeps things beside its peers: {', '.join(KNOWN)}, or a URL in which "
        "{folder} stands for a fresh folder; may be given again; default: sqlite if there is one",
    )
    parser.add_argument(
        "--json", type=Path, default=RESULTS / "benchmarks.json", help="where it is kept"
    )
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; use {', '.join(PARTS)}")
    return options


def tell(text: str) -> None:
    """Say what is under way, to somebody who looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Run, show, and keep the result."""
    options = parse()
    parts = options.parts or list(PARTS)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, ExitStack() as ending:
        no_server = server.missing()
        wants_server = any(part.startswith("postgres") for part in parts) and not no_server
        running = ending.enter_context(server.running(Path(folder))) if wants_server else ""
        run = Run(
            folder=Path(folder),
            stores=tuple(map(url_of, options.store or default_stores())),
            sizes=QUICK if options.quick else Sizes(),
            tell=tell,
            server=running,
            no_server=no_server,
        )
        result = measure(parts, run, options.quick)
    tell("")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    show(result)
    if any(row.failed for table in result.tables for row in table.rows):
        sys.exit("something could not be measured: see FAILED above")


if __name__ == "__main__":
    main()
