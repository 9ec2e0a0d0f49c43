"""Timing: a measure is a name, what it took, and the floor it is held against."""

import statistics
import time
from collections.abc import Awaitable, Callable

import msgspec


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; `microseconds` is the median of one operation."""

    name: str
    durability: str
    microseconds: float
    per_second: float
    floor: str
    times_floor: float
    """How many times the floor's time it took."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What was hoped for, and what was measured."""

    name: str
    wanted: str
    measured: float
    met: bool


async def median_of(times: int, operation: Callable[[int], Awaitable[object]]) -> float:
    """The median time of an operation, done `times` times one after the other, in microseconds."""
    taken: list[float] = []
    for number in range(times):
        start = time.perf_counter()
        await operation(number)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


def median_by_hand(times: int, operation: Callable[[int], object]) -> float:
    """The same for plain code."""
    taken: list[float] = []
    for number in range(times):
        start = time.perf_counter()
        operation(number)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6
