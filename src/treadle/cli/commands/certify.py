"""`treadle certify`: run the conformance suite on a backend."""

import importlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from treadle.backends.registry import SCHEMES
from treadle.backends.urls import without_password
from treadle.cli.options import json_option
from treadle.cli.targets import load
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line, write_table
from treadle.cli.terminal.progress import progress
from treadle.cli.terminal.tables import Column

if TYPE_CHECKING:
    from treadle.testing import CertificationReport, CheckResult, Subject
    from treadle.testing.certification import Tally
    from treadle.testing.subject import MakeBackend

_MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_BARE = re.compile(r"[A-Za-z_][\w.]*")
"""A module without a name, or a folder. A wrong guess would certify the wrong backend."""

_NEEDED = ("pytest", "hypothesis")
_CAPABILITIES = {
    "durable": "data survives the end of its process",
    "shared": "several handles and processes use one store",
    "notifies": "a wait ends soon after another handle writes",
    "faults": "has the fault hook",
}


@click.command(
    "certify",
    cls=ExampleCommand,
    examples=(
        "treadle certify ./scratch            # the files backend, on the disk of ./scratch",
        "treadle certify my_backend:make      # your own: def make(folder, clock) -> MyBackend",
        "treadle certify my_backend:SUBJECT   # a treadle.testing.Subject, with the fault hook",
        "treadle certify memory: --json | jq .certified",
    ),
)
@click.argument("target", metavar="URL|MODULE:NAME")
@json_option
def certify_command(target: str, as_json: bool) -> None:
    """Run the conformance suite on a backend.

    All checks of the declared capabilities run; if one fails, the backend is not certified, and
    the exit status is 1. Stores are created in new folders, and removed at the end. This needs
    `treadle[testing]`.

    --json: {"certified", "declared", "checks", "facets", "capabilities", "failures"}.
    """
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault(
            "HYPOTHESIS_STORAGE_DIRECTORY", scratch
        )  # by default, the current folder
        report = _certify(target)
    if as_json:
        write_json(_as_json(report))
    else:
        _show(target, report)
    if not report.is_certified:
        failed = counted(len(report.failures), "check")
        raise Failure(f"{without_password(target)} is not certified: {failed} failed")


def _certify(target: str) -> "CertificationReport":
    _require_testing()
    from treadle.testing import certify
    from treadle.testing.conformance import SUITE

    subject, folder = _find_subject(target)
    if folder is not None:
        _create(folder)
    with progress(f"certifying {without_password(target)}", len(SUITE)) as bar:

        def show(result: "CheckResult") -> None:
            bar.advance(1)
            if result.status == "failed":
                bar.note(f"FAILED {result.name}")

        return certify(subject, folder=folder, on_result=show)


def _create(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the folder {folder} cannot be created: {error.strerror}") from error


def _require_testing() -> None:
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            reason = (
                f"`treadle certify` needs {name}; "
                "in Treadle's folder, run: pip install '.[cli,testing]'"
            )
            raise Failure(reason) from error


def _find_subject(target: str) -> tuple["Subject", Path | None]:
    from treadle.testing import Subject
    from treadle.testing.builtin_subjects import subject_at

    if _BARE.fullmatch(target):
        raise Failure(f"to certify a backend, write {target}:NAME; to use a folder, ./{target}")
    if not _MODULE.fullmatch(target) or target.partition(":")[0].lower() in SCHEMES:
        return subject_at(target)
    found = load(target, "backend", "my_backend:make")
    if isinstance(found, Subject):
        return found, None
    if not callable(found):
        raise Failure(f"{target!r} does not create a backend; it must be `def make(folder, clock)`")
    return Subject(make=cast("MakeBackend", found)), None


def _show(target: str, report: "CertificationReport") -> None:
    from treadle.testing.certification import CAPABILITIES, FACETS

    for failure in report.failures:
        write_line(f"FAILED {failure.name}", fg="red")
        write_line(f"  breaks {failure.guarantee}")
        write_line("\n".join(f"  {line}" for line in failure.detail.splitlines()))
        write_line()
    counts = [Column(title, right=True) for title in ("passed", "failed", "not run")]
    facets = [[facet, *_counts(report.of_facet(facet))] for facet in FACETS]
    write_table([Column("facet"), *counts], facets)
    write_line()
    capabilities = [
        [
            need,
            "yes" if need in report.declared else "no",
            *_counts(report.of_capability(need)),
            _CAPABILITIES[need],
        ]
        for need in CAPABILITIES
    ]
    titles = [Column("capability"), Column("declared"), *counts, Column("meaning")]
    write_table(titles, capabilities)
    write_line()
    total = report.total
    write_line(
        f"{without_password(target)}: {counted(total.ran, 'check')} ran, {total.passed} passed, "
        f"{total.failed} failed; {total.not_declared} did not run, "
        "because their capability is not declared"
    )


def _counts(tally: "Tally") -> list[str]:
    return [str(tally.passed), str(tally.failed), str(tally.not_declared)]


def _as_json(report: "CertificationReport") -> Any:
    from treadle.testing.certification import CAPABILITIES, FACETS

    return {
        "certified": report.is_certified,
        "declared": sorted(report.declared),
        "checks": _tally_json(report.total),
        "facets": {facet: _tally_json(report.of_facet(facet)) for facet in FACETS},
        "capabilities": {need: _tally_json(report.of_capability(need)) for need in CAPABILITIES},
        "failures": [
            {
                "facet": failure.facet,
                "module": failure.module,
                "rule": failure.rule,
                "guarantee": failure.guarantee.value,
                "breaks": str(failure.guarantee),
                "detail": failure.detail,
            }
            for failure in report.failures
        ],
    }


def _tally_json(tally: "Tally") -> dict[str, int]:
    return {
        "ran": tally.ran,
        "passed": tally.passed,
        "failed": tally.failed,
        "not_declared": tally.not_declared,
    }
