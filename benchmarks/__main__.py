"""`python -m benchmarks`: write tables to standard output, and JSON to `benchmarks/results`."""

import argparse
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks import server
from benchmarks.beside_peers import Run, measure_all
from benchmarks.floors import sync_floor
from benchmarks.progress import report
from benchmarks.publishing import RESULTS, publish
from benchmarks.sizes import QUICK, Sizes
from benchmarks.stores import KNOWN, url_of
from benchmarks.summary import summarize
from benchmarks.tables import Table, lines
from benchmarks.targets import Target, at_most, judge
from benchmarks.workloads import BY_NAME_ONLY, USUAL, WORKLOADS

PARTS = "\n".join(f"  {name:<17} {workload.about}" for name, workload in WORKLOADS.items())
DESCRIPTION = f"""\
Measure Treadle beside its peers, and beside the same work by hand (the floor).

Parts (without a PART, all but {" and ".join(BY_NAME_ONLY)} are measured, which takes long;
"adapters" measures all whose names begin with it):
{PARTS}
"""
EPILOG = """\
examples:
  make bench ARGS="--quick one-caller"
  make bench ARGS="queue flatness --store sqlite --store files --folder /mnt/fast"
  TREADLE_TEST_POSTGRES=postgresql://bench@db.example/bench make bench ARGS="postgres-drain"

The exit status is 1 if something could not be measured. A MISSED target is not a failure: targets
depend on the machine.
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a run, and the machine."""

    quick: bool
    """The sizes are too small for the figures to mean anything."""
    python: str
    system: str
    cores: int
    sqlite: str
    syncs_per_second: int
    minutes: float
    """How long the run took."""
    tables: tuple[Table, ...]
    targets: tuple[Target, ...]

    @property
    def machine(self) -> str:
        """What it was measured on."""
        return (
            f"Python {self.python}, SQLite {self.sqlite}, {self.system}, {self.cores} cores, "
            f"{self.syncs_per_second:,} syncs a second"
        )


def measure(parts: list[str], run: Run, quick: bool) -> Result:
    """Measure the parts, and show each table once it is measured."""
    start = time.monotonic()
    run.report("floor")
    syncs = round(1e6 / sync_floor(run.folder, run.sizes.operations))
    tables: list[Table] = []
    for table in measure_all(run, [WORKLOADS[part] for part in parts]):
        show_table(table)
        tables.append(table)
    minutes = round((time.monotonic() - start) / 60, 1)
    return Result(
        quick=quick,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=os.cpu_count() or 0,
        sqlite=sqlite3.sqlite_version,
        syncs_per_second=syncs,
        tables=tuple(tables),
        targets=(*judge(tables, syncs), *_judge_time(parts, minutes)),
        minutes=minutes,
    )


def _judge_time(parts: list[str], minutes: float) -> list[Target]:
    """Judge the time of a run that measures everything that is usually measured."""
    if parts != USUAL:
        return []
    return [at_most("make bench: the whole run", minutes, 15, "minutes")]


def show_table(table: Table) -> None:
    """Write a table, even where the output is kept in a file that somebody follows."""
    report("")
    print("\n".join(lines(table)), end=f"\n  (measured in {table.seconds} s)\n\n", flush=True)


def show(result: Result) -> None:
    """Write what was measured on, and the targets."""
    print(
        f"{result.machine}\nMeasured in {result.minutes:,} minutes. "
        'Each figure is the median over its runs. "x floor" compares runs that took turns with the '
        "floor, so it\nmay differ from the quotient of the columns beside it if the disk's speed "
        "changed.\n"
    )
    if result.quick:
        print("--quick: the sizes are too small to judge the targets.")
        return
    for target in result.targets:
        print(target)


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        usage='make bench ARGS="[OPTIONS] [PART ...]"',
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small sizes, to see that everything runs: a minute or two",
    )
    parser.add_argument(
        "--folder", type=Path, help="a folder on the disk to measure; default: the temporary folder"
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        action="append",
        help=f"the store to measure: {', '.join(KNOWN)}, or a URL in which {{folder}} is replaced "
        "by a new folder; may be repeated; default: sqlite",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        default=RESULTS / "benchmarks.json",
        help="the file for the result; default: benchmarks/results/benchmarks.json",
    )
    options = parser.parse_args()
    parts: list[str] = []
    for part in options.parts:
        found = [name for name in WORKLOADS if name == part or name.startswith(f"{part}-")]
        if not found:
            parser.error(f"there is no part {part!r}; use {', '.join(WORKLOADS)}")
        parts += found
    options.parts = parts
    return options


def commit() -> str:
    """Return the commit that is measured; "unknown" outside a repository."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def publish_all(result: Result) -> None:
    """Write README's table, unless some of it was not measured, such as without a server."""
    summary = summarize(result.tables, commit(), result.machine)
    missing = [line.work for line in summary.lines if line.treadle is None]
    if missing:
        print(f"README's table was not replaced. Not measured: {'; '.join(missing)}")
    else:
        publish(summary)


def main() -> None:
    """Measure, then show and write the result."""
    options = parse()
    parts = options.parts or USUAL
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, ExitStack() as ending:
        no_server = server.missing()
        uses_server = any(kind.uses_server for part in parts for kind in WORKLOADS[part].subjects)
        wants_server = uses_server and not no_server
        running = ending.enter_context(server.running(Path(folder))) if wants_server else ""
        run = Run(
            folder=Path(folder),
            stores=tuple(map(url_of, options.store or ["sqlite"])),
            sizes=QUICK if options.quick else Sizes(),
            report=report,
            server=running,
            no_server=no_server,
        )
        result = measure(parts, run, options.quick)
    report("")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    show(result)
    if not result.quick and parts == USUAL:
        publish_all(result)
    if any(row.failed for table in result.tables for row in table.rows):
        sys.exit("something could not be measured: see FAILED above")


if __name__ == "__main__":
    main()
