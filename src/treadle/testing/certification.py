"""Certification: the whole suite on one subject, and a report of its results."""

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
from treadle.testing._harness.check import Check
from treadle.testing._harness.running import declared_by, run
from treadle.testing.conformance import SUITE
from treadle.testing.subject import CapabilityName, FacetName, Subject

FACETS: tuple[FacetName, ...] = (
    "threads",
    "runs",
    "mailboxes",
    "documents",
    "hints",
    "commit",
    "size",
    "concurrency",
    "history",
)
CAPABILITIES: tuple[CapabilityName, ...] = ("durable", "shared", "notifies", "faults")
Status = Literal["passed", "failed", "not declared"]
_NOT_RUN: Status = "not declared"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check."""

    facet: FacetName
    """The folder of the suite that has the check."""
    module: str
    """The file in that folder, without `.py`."""
    rule: str
    guarantee: Guarantee
    needs: tuple[CapabilityName, ...]
    status: Status
    detail: str = ""
    """For a failure: what the check found, and at which line."""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The name of the check: its facet, its file and its rule."""
        return f"{self.facet}/{self.module}: {self.rule}"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many checks passed, failed, and did not run because their capability is not declared."""

    passed: int
    failed: int
    not_declared: int

    @property
    def ran(self) -> int:
        """How many checks ran."""
        return self.passed + self.failed


class CertificationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of all checks, even of those that did not run."""

    declared: frozenset[CapabilityName]
    results: tuple[CheckResult, ...]

    @property
    def is_certified(self) -> bool:
        """True if no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.status == "failed")

    @property
    def total(self) -> Tally:
        """The tally of all checks."""
        return _tally(self.results)

    def of_facet(self, facet: FacetName) -> Tally:
        """Count the checks of a facet."""
        return _tally(result for result in self.results if result.facet == facet)

    def of_capability(self, capability: CapabilityName) -> Tally:
        """Count the checks that need a capability."""
        return _tally(result for result in self.results if capability in result.needs)


def certify(
    subject: Subject,
    *,
    folder: Path | None = None,
    on_result: Callable[[CheckResult], object] = lambda _: None,
) -> CertificationReport:
    """Run every check of the suite, each on a new store.

    The suite starts child processes, which import the main module again. Call this function under
    `if __name__ == "__main__":`.

    Args:
        subject: The backend.
        folder: Where the folders of the stores are created, and removed again. By default, in the
            system's folder for temporary files.
        on_result: Called with the result of each check, as soon as there is one.
    """
    with tempfile.TemporaryDirectory(prefix="treadle-certify-", dir=folder) as created:
        scratch = Path(created)
        declared = declared_by(subject, scratch)
        results: list[CheckResult] = []
        for check in SUITE:
            is_declared = check.needs <= declared
            result = run_check(check, subject, scratch) if is_declared else _result(check, _NOT_RUN)
            results.append(result)
            on_result(result)
        return CertificationReport(declared=declared, results=tuple(results))


def run_check(check: Check, subject: Subject, folder: Path) -> CheckResult:
    """Run one check in a new folder in `folder`."""
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as created:
            run(check, subject, Path(created))
    except Exception as error:
        return _result(check, "failed", _explain(check, error), time.monotonic() - start)
    return _result(check, "passed", seconds=time.monotonic() - start)


def _result(check: Check, status: Status, detail: str = "", seconds: float = 0.0) -> CheckResult:
    return CheckResult(
        facet=check.facet,
        module=check.module,
        rule=check.rule,
        guarantee=check.guarantee,
        needs=tuple(name for name in CAPABILITIES if name in check.needs),
        status=status,
        detail=detail,
        seconds=round(seconds, 3),
    )


def _explain(check: Check, error: Exception) -> str:
    """Return the text of an error, its notes, and the line of the check."""
    frames = traceback.extract_tb(error.__traceback__)
    file = inspect.getfile(check.function)
    # an error raised before the check ran has no frame in its file: the last frame must do
    frame = [*frames[-1:], *(frame for frame in frames if frame.filename == file)][-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith("broken: ")]
    where = f"at {Path(frame.filename).name}:{frame.lineno}: {line}"
    return "\n".join(part for part in (text, *notes, where) if part)


def _tally(results: Iterable[CheckResult]) -> Tally:
    statuses = [result.status for result in results]
    return Tally(
        passed=statuses.count("passed"),
        failed=statuses.count("failed"),
        not_declared=statuses.count("not declared"),
    )
