"""Certification: the whole suite on one subject, and the report of it."""

import inspect
import linecache
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import msgspec

from treadle.backends.base import Guarantee
from treadle.testing.conformance import SUITE
from treadle.testing.conformance.check import Check, FacetName, Need
from treadle.testing.conformance.running import offers, run
from treadle.testing.subject import Subject

FACETS: tuple[FacetName, ...] = (
    "threads",
    "runs",
    "mailboxes",
    "commit",
    "concurrency",
    "history",
)
NEEDS: tuple[Need, ...] = ("durable", "shared", "notifies", "faults")
Status = Literal["passed", "failed", "not declared"]
_NOT_RUN: Status = "not declared"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one check."""

    facet: FacetName
    rule: str
    guarantee: Guarantee
    needs: tuple[Need, ...]
    status: Status
    detail: str = ""
    """Of a failure: what was found, and where."""
    seconds: float = 0.0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many checks passed, failed, and did not run because their capability is not declared."""

    passed: int
    failed: int
    not_declared: int

    @property
    def ran(self) -> int:
        """How many checks ran."""
        return self.passed + self.failed


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of every check; none is left out."""

    declared: frozenset[Need]
    outcomes: tuple[Outcome, ...]

    @property
    def is_certified(self) -> bool:
        """Whether all that is declared holds."""
        return not self.failures

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The checks that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    @property
    def total(self) -> Tally:
        """All checks."""
        return _tally(self.outcomes)

    def of_facet(self, facet: FacetName) -> Tally:
        """The checks of a facet."""
        return _tally(outcome for outcome in self.outcomes if outcome.facet == facet)

    def of_capability(self, need: Need) -> Tally:
        """The checks that need a capability."""
        return _tally(outcome for outcome in self.outcomes if need in outcome.needs)


def certify(
    subject: Subject,
    *,
    folder: Path | None = None,
    tell: Callable[[Outcome], object] = lambda _: None,
) -> Report:
    """Run every check of the suite, each in a new place in `folder` (default: where tempfile says).

    All that is made there is removed again. `tell` hears of each check when it is over. Other
    processes are started: a program calls this under `if __name__ == "__main__":`.
    """
    with tempfile.TemporaryDirectory(prefix="treadle-certify-", dir=folder) as made:
        place = Path(made)
        declared = offers(subject, place)
        outcomes: list[Outcome] = []
        for check in SUITE:
            is_declared = check.needs <= declared
            outcome = attempt(check, subject, place) if is_declared else _outcome(check, _NOT_RUN)
            outcomes.append(outcome)
            tell(outcome)
        return Report(declared=declared, outcomes=tuple(outcomes))


def attempt(check: Check, subject: Subject, folder: Path) -> Outcome:
    """Run one check in a new place in `folder`."""
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as place:
            run(check, subject, Path(place))
    except Exception as error:
        return _outcome(check, "failed", _explain(check, error), time.monotonic() - start)
    return _outcome(check, "passed", seconds=time.monotonic() - start)


def _outcome(check: Check, status: Status, detail: str = "", seconds: float = 0.0) -> Outcome:
    return Outcome(
        facet=check.facet,
        rule=check.rule,
        guarantee=check.guarantee,
        needs=tuple(need for need in NEEDS if need in check.needs),
        status=status,
        detail=detail,
        seconds=round(seconds, 3),
    )


def _explain(check: Check, error: Exception) -> str:
    """What an error says, its notes, and the line of the check."""
    frames = traceback.extract_tb(error.__traceback__)
    own = inspect.getfile(check.attempt)
    frame = [*frames[-1:], *(frame for frame in frames if frame.filename == own)][-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith("broken: ")]
    where = f"at {Path(frame.filename).name}:{frame.lineno}: {line}"
    return "\n".join(part for part in (text, *notes, where) if part)


def _tally(outcomes: Iterable[Outcome]) -> Tally:
    statuses = [outcome.status for outcome in outcomes]
    return Tally(
        passed=statuses.count("passed"),
        failed=statuses.count("failed"),
        not_declared=statuses.count("not declared"),
    )
