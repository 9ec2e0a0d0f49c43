"""Measure each subject of each workload, in a separate process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import msgspec

from benchmarks.peers.base import Subject
from benchmarks.sizes import Sizes
from benchmarks.tables import Row, Table
from benchmarks.workloads.base import Task, Workload, title

Reporter = Callable[[str], None]
ROOT = Path(__file__).parents[1]
TIMEOUT_S = 1_200
"""How long one subject may take for one workload."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a run."""

    folder: Path
    stores: tuple[str, ...]
    sizes: Sizes
    report: Reporter
    server: str = ""
    """The URL of a PostgreSQL server; empty if there is none, for the reason in `no_server`."""
    no_server: str = ""


def measure_all(run: Run, workloads: Iterable[Workload]) -> Iterator[Table]:
    """Measure the workloads, each when its table is asked for.

    The timed ones come first, one after the other. The others are then measured together, side by
    side: they wait for the disk more than they compute.
    """
    untimed: list[Workload] = []
    for workload in workloads:
        if workload.is_timed:
            yield from _measure(run, [workload], at_once=1)
        else:
            untimed.append(workload)
    yield from _measure(run, untimed, at_once=2 * (os.cpu_count() or 1))


def _measure(run: Run, workloads: Sequence[Workload], at_once: int) -> Iterator[Table]:
    """Measure all subjects of some workloads, so many at once."""
    start = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        measured = [
            (
                workload,
                [pool.submit(_rows, run, workload, *each) for each in _subjects(run, workload)],
            )
            for workload in workloads
        ]
        for workload, subjects in measured:
            rows = tuple(chain.from_iterable(subject.result() for subject in subjects))
            yield Table(
                name=workload.name,
                work=workload.work(run.sizes),
                columns=workload.columns(run.sizes),
                rows=rows,
                seconds=round(time.monotonic() - start),
            )


def _subjects(run: Run, workload: Workload) -> list[tuple[int, str]]:
    """Return the index of each subject of a workload, with each store that it is measured on."""
    return [
        (index, store)
        for index, kind in enumerate(workload.subjects)
        for store in _stores(run, kind)
    ]


def _rows(run: Run, workload: Workload, index: int, store: str) -> list[Row]:
    kind = workload.subjects[index]
    run.report(f"{workload.name}: {title(kind, '' if kind.uses_server else store)}")
    if kind.version() is None:
        return [Row(who=kind.name, missing=f"not installed ({kind.distribution})")]
    if kind.uses_server and not run.server:
        return [Row(who=kind.name, missing=run.no_server)]
    return _measure_one(run, workload, index, store)


def _stores(run: Run, kind: type[Subject]) -> tuple[str, ...]:
    if kind.uses_server:
        return (run.server,)
    return run.stores if kind.uses_store else ("",)


def _measure_one(run: Run, workload: Workload, index: int, store: str) -> list[Row]:
    with tempfile.TemporaryDirectory(dir=run.folder) as folder:
        here = Path(folder)
        (here / "work").mkdir()
        task = Task(
            workload=workload.name,
            subject=index,
            store=store,
            folder=str(here / "work"),
            sizes=run.sizes,
        )
        (here / "task.json").write_bytes(msgspec.json.encode(task))
        wrong = run_child(here)
        if not wrong:
            return msgspec.json.decode((here / "rows.json").read_bytes(), type=list[Row])
    kind = workload.subjects[index]
    who = title(kind, "" if kind.uses_server else store)
    return [Row(who=who, missing=f"FAILED: {wrong}", failed=True)]


def run_child(here: Path) -> str:
    """Measure in a child process; return its error in one line, or an empty text."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.child",
        str(here / "task.json"),
        str(here / "rows.json"),
    ]
    try:
        done = subprocess.run(
            command,
            check=False,
            stdout=sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL,  # its progress
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {TIMEOUT_S} seconds"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
