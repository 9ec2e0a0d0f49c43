"""`python -m benchmarks.child TASK ROWS`: measure one subject of one workload.

Each subject is measured in a separate process, so that the imports, caches and threads of one do
not slow down the next.
"""

import asyncio
import logging
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.base import Task


def main() -> None:
    """Measure in this process, without the warnings of peers, which do not belong in the table."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    measure(*map(Path, sys.argv[1:3]))
    # A store that a workload left open would write for minutes what nobody reads.
    os._exit(0)


def measure(task_file: Path, rows_file: Path) -> None:
    """Read the task from a file, measure, and write the rows to the other file."""
    task = msgspec.json.decode(task_file.read_bytes(), type=Task)
    workload = WORKLOADS[task.workload]
    kind = workload.subjects[task.subject]
    run = import_module("uvloop").run if kind.uses_uvloop else asyncio.run
    rows = run(workload.measure(kind, task))
    rows_file.write_bytes(msgspec.json.encode(rows))


if __name__ == "__main__":
    main()
