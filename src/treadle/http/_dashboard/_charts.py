"""Charts: what numbers become as shapes of an SVG, which a template draws."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from treadle.core.usage import Usage

DAY_MS = 86_400_000
WIDTH = 1_000
HEIGHT = 200
_GAP = 0.25
"""The part of a column that is left free."""


class Bar(NamedTuple):
    """A day: its tokens, read and written, one above the other. Measures are those of the SVG."""

    usage: Usage
    x: float
    width: float
    input_y: float
    input_height: float
    output_y: float
    output_height: float


class Bars(NamedTuple):
    """A chart of days."""

    items: tuple[Bar, ...]
    most: int
    """The tokens of the day that has most of them: that of the whole height."""


def days_until(now: int, count: int) -> list[str]:
    """Return the last days, the present one included, as `SumUsage` names them."""
    last = now // DAY_MS
    days = range(max(0, last - count + 1), last + 1)
    return [datetime.fromtimestamp(day * 86_400, UTC).date().isoformat() for day in days]


def stack(usages: Iterable[Usage], days: Sequence[str]) -> Bars:
    """Return a column for each day; a day without usage has an empty one."""
    by_day = {usage.key: usage for usage in usages}
    found = [by_day.get(day, Usage(key=day)) for day in days]
    most = max((each.input_tokens + each.output_tokens for each in found), default=0)
    step = WIDTH / max(1, len(found))
    bars = (_bar(usage, round(step * at, 2), step, most) for at, usage in enumerate(found))
    return Bars(tuple(bars), most)


def _bar(usage: Usage, x: float, step: float, most: int) -> Bar:
    read, written = _height(usage.input_tokens, most), _height(usage.output_tokens, most)
    return Bar(
        usage=usage,
        x=x,
        width=round(step * (1 - _GAP), 2),
        input_y=round(HEIGHT - read, 2),
        input_height=read,
        output_y=round(HEIGHT - read - written, 2),
        output_height=written,
    )


def _height(count: int, most: int) -> float:
    # Whole numbers are divided first: sums may be too large for a float.
    return round(HEIGHT * (count * 10_000 // most) / 10_000, 2) if most else 0.0
