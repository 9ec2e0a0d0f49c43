"""A target: a bound for a figure, and the verdict on what was measured."""

from collections.abc import Iterable

import msgspec

from benchmarks.tables import Row, Table

FLAT = 1.5
"""A cost counts as flat up to this factor, because of noise."""
NOISE = 0.1
"""Two costs that take turns count as equal up to this part."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A target, and the measured figure."""

    name: str
    wanted: str
    measured: float | None
    """None if it could not be measured."""
    met: bool
    why: str = ""
    """Why it could not be measured."""

    def __str__(self) -> str:
        if self.measured is None:
            return f"UNKNOWN {self.name}: {self.why} ({self.wanted})"
        verdict = "met    " if self.met else "MISSED "
        return f"{verdict} {self.name}: {self.measured:,} ({self.wanted})"


def at_least(name: str, measured: float, least: float, unit: str = "times") -> Target:
    """Judge a figure that is to be large."""
    wanted = f"at least {least:,g} {unit}"
    return Target(name=name, wanted=wanted, measured=_rounded(measured), met=measured >= least)


def at_most(name: str, measured: float, most: float, unit: str = "times") -> Target:
    """Judge a figure that is to be small."""
    wanted = f"at most {most:,g} {unit}"
    return Target(name=name, wanted=wanted, measured=_rounded(measured), met=measured <= most)


def unknown(name: str, wanted: str, why: str) -> Target:
    """Return a target that could not be judged; it counts as not met."""
    return Target(name=name, wanted=wanted, measured=None, met=False, why=why)


def beside(
    name: str, table: Table, row: Row, other: str, figure: str, least: float, of: str = ""
) -> Target:
    """Judge a rate beside that of another subject, whose name begins with `other`.

    Args:
        name: the name of the target.
        table: the table that has both.
        row: Treadle's row.
        other: how the other's name begins.
        figure: the figure of Treadle.
        least: the smallest part or multiple of the other's.
        of: the figure of the other, if it is a different one.
    """
    found = _measured(each for each in table.rows if each.who.startswith(other))
    rates = [each.figures[of or figure] for each in found if (of or figure) in each.figures]
    return _beside(name, row.figures[figure], rates, least, f"{other} was not measured")


def beside_best(name: str, table: Table, row: Row, figure: str, least: float) -> Target:
    """Judge a rate beside that of the best peer that keeps what it acknowledged."""
    rates = [
        each.figures[figure]
        for each in table.rows
        if each.is_durable_peer and figure in each.figures
    ]
    return _beside(name, row.figures[figure], rates, least, "no peer was measured")


def _measured(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.figures]


def _beside(name: str, ours: float, theirs: list[float], least: float, why: str) -> Target:
    if not theirs:
        return unknown(name, f"at least {least:g} times", why)
    return at_least(name, ours / max(theirs), least)


def _rounded(measured: float) -> float:
    return round(measured) if measured >= 1_000 else round(measured, 2)
