"""`python -m benchmarks.child`: one subject, one workload, read from and written to files.

Each is measured in a process of its own, so that what one imports, caches and starts is no burden
to the next.
"""

import asyncio
import logging
import sys
import warnings
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.base import Task


def main() -> None:
    """Do the task whose file is the first argument; write the rows to the second."""
    task_file, rows_file = map(Path, sys.argv[1:3])
    warnings.filterwarnings("ignore")  # what peers say about themselves is not for our table
    logging.disable(logging.ERROR)
    task = msgspec.json.decode(task_file.read_bytes(), type=Task)
    workload = WORKLOADS[task.workload]
    kind = workload.subjects[task.subject]
    run = import_module("uvloop").run if kind.uses_uvloop else asyncio.run
    rows = run(workload.measure(kind, task))
    rows_file.write_bytes(msgspec.json.encode(rows))


if __name__ == "__main__":
    main()
