"""`python -m benchmarks`: a table on standard output, and JSON in `benchmarks/results`."""

import argparse
import asyncio
import platform
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.files import (
    QUICK,
    Sizes,
    Tell,
    measure_appenders,
    measure_appends,
    measure_queue,
)
from benchmarks.floors import sync_floor
from benchmarks.measure import Measure, Target

RESULTS = Path(__file__).parent / "results"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found, and on what machine."""

    python: str
    system: str
    syncs_per_second: int
    measures: tuple[Measure, ...]
    targets: tuple[Target, ...]


async def run(folder: Path, sizes: Sizes, tell: Tell) -> Result:
    """Measure everything."""
    tell("floors")
    floor = sync_floor(folder, sizes.operations)
    measures: list[Measure] = []
    for part in (measure_appends, measure_appenders, measure_queue):
        measures += await part(folder, sizes, tell)
    return Result(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        syncs_per_second=round(1e6 / floor),
        measures=tuple(measures),
        targets=judge(measures, round(1e6 / floor)),
    )


def judge(measures: list[Measure], syncs: int) -> tuple[Target, ...]:
    """Hold what was measured against what was hoped for."""
    appends = [each.microseconds for each in measures if each.name.startswith("append at")]
    claims = [each.microseconds for each in measures if each.name.startswith("claim")]
    [callers] = [each.per_second for each in measures if "callers" in each.name]
    growth, depth = appends[-1] / appends[0], claims[-1] / claims[0]
    wanted = 3_000 * min(syncs / 4_000, 1)
    return (
        Target(
            name="append, longest thread to shortest",
            wanted="at most 4 times",
            measured=round(growth, 2),
            met=growth <= 4,
        ),
        Target(
            name="claim + ack, deepest queue to shallowest",
            wanted="at most 1.5 times",
            measured=round(depth, 2),
            met=depth <= 1.5,
        ),
        Target(
            name="durable commits a second, many callers",
            wanted=f"at least {wanted:,.0f} (3,000 where the disk syncs 4,000 times)",
            measured=callers,
            met=callers >= wanted,
        ),
    )


def show(result: Result) -> None:
    """Write the tables."""
    print(f"Python {result.python}, {result.system}, {result.syncs_per_second:,} syncs a second\n")
    row = "{:<32} {:>11} {:>10} {:>8}  {}"
    print(row.format("files, durability full", "median", "a second", "x floor", "floor"))
    for each in result.measures:
        median = f"{each.microseconds:,.0f} µs"
        rate = f"{each.per_second:,.0f}"
        print(row.format(each.name, median, rate, f"{each.times_floor:.2f}", each.floor))
    print()
    for target in result.targets:
        verdict = "met   " if target.met else "MISSED"
        print(f"{verdict} {target.name}: {target.measured:,} ({target.wanted})")


def main() -> None:
    """Run, show, and keep the result."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the files backend beside the same syncs by hand.",
        epilog="example: python -m benchmarks --folder /mnt/fast --json fast.json",
    )
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--folder", type=Path, help="the disk to measure; default: the temporary")
    parser.add_argument(
        "--json", type=Path, default=RESULTS / "files.json", help="where it is kept"
    )
    options = parser.parse_args()

    def tell(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result = asyncio.run(run(Path(folder), QUICK if options.quick else Sizes(), tell))
    tell("")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    show(result)


if __name__ == "__main__":
    main()
