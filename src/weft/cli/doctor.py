"""`weft doctor`: what in a store cannot be read."""

import click

from weft.backends.files.doctor import Report, examine
from weft.backends.files.doctor import move_aside as put_aside
from weft.cli.examples import ExampleCommand
from weft.cli.failure import Failure
from weft.cli.opening import check_present, chosen_store, folder_of, store_option
from weft.cli.output import counted, json_option, write_json, write_line
from weft.core.codec import to_plain


@click.command(
    "doctor",
    cls=ExampleCommand,
    examples=(
        "weft doctor --store ./agents",
        "weft doctor --json | jq .findings",
        "weft doctor --move-aside       into _weft/aside, to be looked at and mended by hand",
    ),
)
@store_option()
@click.option("--move-aside", is_flag=True, help="Move what cannot be read out of the way.")
@json_option
def doctor(move_aside: bool, as_json: bool) -> None:
    """Open the store, which finishes what a crash has left, and read every document in it.

    What cannot be read hurts only itself; it is reported, and the exit status is 1.

    --json: {"documents", "findings": [{"path", "reason"}], "moved": [...]}.
    """
    url = chosen_store()
    folder = folder_of(url)
    if folder is None:
        raise click.UsageError(f"{url} is not a folder; there is nothing to examine")
    check_present(url)
    report = examine(folder)
    moved = put_aside(folder, report) if move_aside and report.findings else ()
    if as_json:
        write_json({**to_plain(report), "moved": list(moved)})
    else:
        _tell(report, moved)
    left = len(report.findings) - len(moved)
    if left:
        raise Failure(f"{counted(left, 'file')} cannot be read; mend by hand, or use --move-aside")


def _tell(report: Report, moved: tuple[str, ...]) -> None:
    for finding in report.findings:
        write_line(f"{finding.path}: {finding.reason}")
    for path in moved:
        write_line(f"moved to {path}")
    write_line(f"{counted(report.documents, 'document')} looked at")
