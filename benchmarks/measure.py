"""Timing, medians and sizes."""

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path


async def timed(operation: Awaitable[object]) -> float:
    """How long an operation takes, in seconds."""
    start = time.perf_counter()
    await operation
    return time.perf_counter() - start


async def median_of(times: int, operation: Callable[[int], Awaitable[object]]) -> float:
    """The median time of an operation, done `times` times one after the other, in microseconds."""
    taken = [await timed(operation(number)) for number in range(times)]
    return statistics.median(taken) * 1e6


async def medians_in_turn(
    times: int, *operations: Callable[[int], Awaitable[object]]
) -> list[float]:
    """The median times, in microseconds, of operations that take turns: a slow moment hits all."""
    taken: list[list[float]] = [[] for _ in operations]
    for number in range(times):
        for operation, found in zip(operations, taken, strict=True):
            found.append(await timed(operation(number)))
    return [statistics.median(found) * 1e6 for found in taken]


def median_by_hand(times: int, operation: Callable[[int], object]) -> float:
    """The same as `median_of` for plain code."""
    taken: list[float] = []
    for number in range(times):
        start = time.perf_counter()
        operation(number)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


def settle(wanted: bool) -> None:
    """Let the disk finish what was prepared, which else is written while something is timed."""
    if wanted:
        os.sync()


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over runs that found the same figures."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
