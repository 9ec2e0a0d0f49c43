"""`treadle doctor`: check a store, and report what is damaged."""

from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from treadle.backends.files import doctor as files
from treadle.backends.findings import Finding, Report, escape
from treadle.backends.registry import require_postgres
from treadle.backends.sqlite import doctor as sqlite
from treadle.backends.urls import without_password
from treadle.cli.opening import check_possible, check_present, database_of, folder_of
from treadle.cli.options import chosen_store, json_option, store_option
from treadle.cli.terminal.counts import counted, counted_rows
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.core.codec import to_plain


@click.command(
    "doctor",
    cls=ExampleCommand,
    examples=(
        "treadle doctor --store ./agents",
        "treadle doctor --json | jq .findings",
        "treadle doctor --move-aside    # into _treadle/aside, for you to repair",
        "treadle doctor --store sqlite:///agents.db",
        "treadle doctor --store postgresql://treadle@db.example/agents",
    ),
)
@store_option()
@click.option(
    "--move-aside", is_flag=True, help="In a folder: move files that cannot be read out of the way."
)
@json_option
def doctor(move_aside: bool, as_json: bool) -> None:
    """Read everything in a store, and report what is damaged.

    The exit status is 1 if there is damage. A folder is opened, which completes commits that a
    crash interrupted, unless it cannot be written; all its JSON files are read. A database may be
    in use: its rows are checked as they are at one moment, and nothing is changed. Of a database
    file, the pages and the rules between rows are checked, too; PostgreSQL has amcheck and data
    checksums.

    --json: {"documents", "findings": [{"path", "reason"}], "moved": [...]}, and for a database
    also {"rows": {...}}.
    """
    url = chosen_store()
    folder, database = folder_of(url), database_of(url)
    check_possible(url)
    if folder is None and move_aside:
        raise click.UsageError(
            f"--move-aside is for folders, and {without_password(url)} is a database"
        )
    check_present(url)
    if folder is not None:
        _examine_folder(folder, move_aside, as_json)
        return
    report = sqlite.examine(database) if database is not None else _examine_server(url)
    _write_report(report, as_json)


def _examine_folder(folder: Path, move_aside: bool, as_json: bool) -> None:
    report = files.examine(folder)
    moved = files.move_aside(folder, report) if move_aside and report.findings else ()
    if as_json:
        findings = tuple(
            Finding(path=escape(each.path), reason=each.reason) for each in report.findings
        )
        report = msgspec.structs.replace(report, findings=findings)
        write_json({**to_plain(report), "moved": list(map(escape, moved))})
    else:
        _write_findings(report.findings)
        for path in moved:
            write_line(f"moved to {path}")
        write_line(f"{counted(report.records, 'record')} read")
    left = len(report.findings) - len(moved)
    if left:
        raise Failure(
            f"{counted(left, 'file')} cannot be read; repair by hand, or use --move-aside"
        )


def _examine_server(url: str) -> Report:
    require_postgres()
    from treadle.backends.postgres.doctor import examine
    from treadle.backends.postgres.location import parse_location

    return examine(parse_location(url))


def _write_report(report: Report, as_json: bool) -> None:
    if as_json:
        write_json({**to_plain(report), "moved": []})
    else:
        _write_findings(report.findings)
        write_line(f"{counted_rows(report.rows)} read")
    if report.findings:
        advice = "restore a backup, or save what can be read with `treadle export`"
        raise Failure(f"{counted(len(report.findings), 'finding')}; {advice}")


def _write_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        write_line(f"{finding.path}: {finding.reason}")
