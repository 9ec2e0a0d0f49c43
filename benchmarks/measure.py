"""Timing, medians and sizes."""

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path


async def timed(operation: Awaitable[object]) -> float:
    """Return the time of an operation, in seconds."""
    start = time.perf_counter()
    await operation
    return time.perf_counter() - start


async def median_of(times: int, operation: Callable[[int], Awaitable[object]]) -> float:
    """Return the median time of an operation that is repeated, in microseconds."""
    taken = [await timed(operation(number)) for number in range(times)]
    return statistics.median(taken) * 1e6


async def medians_in_turn(
    times: int, *operations: Callable[[int], Awaitable[object]]
) -> list[float]:
    """Return the median times of operations that take turns, in microseconds."""
    # They take turns, so that a slow moment of the machine affects all of them. In every second
    # turn the others come in reverse after the first, so that none always follows the same one: it
    # would find in the caches what that has left there.
    taken: list[list[float]] = [[] for _ in operations]
    turn = list(zip(operations, taken, strict=True))
    for number in range(times):
        for operation, found in turn:
            found.append(await timed(operation(number)))
        turn[1:] = turn[:0:-1]
    return [statistics.median(found) * 1e6 for found in taken]


def sync_disk(wanted: bool) -> None:
    """Write everything to the disk now, so that it is not written while something is timed."""
    if wanted:
        os.sync()


def size_of(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over several runs."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
