"""Tables: they fit a terminal, and are complete in a pipe."""

import pytest

from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.output import time_text
from treadle.cli.terminal.tables import (
    Column,
    aligned,
    count_fitting,
    fit_widths,
    separated,
    shortened,
)


def test_columns_are_shortened_only_if_necessary() -> None:
    assert fit_widths([5, 9, 3], [1, 1, 1], 20) == [5, 9, 3]
    assert fit_widths([5, 9, 3], [1, 1, 1], 13) == [5, 5, 3]
    assert fit_widths([5, 9, 3], [5, 9, 3], 4) == [5, 9, 3]


def test_cells_are_shortened_in_the_middle() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert shortened("日本語日本語", 7) == "日…語"


COLUMNS = (Column("id", whole=True), Column("n", right=True), Column("text"))


def test_no_line_is_wider_than_the_terminal() -> None:
    rows = [("x" * 30, "12", "words " * 30), ("日本" * 10, "3", "")]
    lines = aligned(COLUMNS, rows, 70)
    assert all(len(line) <= 70 for line in lines)
    assert lines[1].startswith("x" * 30)


def test_ids_are_never_shortened_and_columns_are_left_out_from_the_right() -> None:
    rows = [("x" * 30, "12", "words " * 30)]
    assert [count_fitting(COLUMNS, rows, width) for width in (80, 46, 45, 34, 33, 10)] == [
        3,
        3,
        2,
        2,
        1,
        1,
    ]
    assert aligned(COLUMNS[:1], [("x" * 30,)], 10)[1] == "x" * 30


def test_a_table_without_rows_has_titles() -> None:
    assert aligned(COLUMNS, [], 80) == ["id  n  text"]


def test_numbers_are_aligned_to_the_right() -> None:
    columns = (Column("a"), Column("count", right=True))
    assert aligned(columns, [("x", "1"), ("yy", "200")], 80) == [
        "a   count",
        "x       1",
        "yy    200",
    ]


def test_a_pipe_gets_whole_cells_separated_by_tabs() -> None:
    columns = (Column("id"), Column("text"))
    assert separated(columns, [("x" * 300, "a\tb\nc")]) == ["id\ttext", f"{'x' * 300}\ta b c"]


@pytest.mark.parametrize("milliseconds", [0, 1_746_000_000_000])
def test_times_are_local_date_and_time(milliseconds: int) -> None:
    assert len(time_text(milliseconds)) == len("2025-05-06 16:45:03")


def test_times_beyond_the_calendar_are_shown_in_milliseconds() -> None:
    assert time_text(2**63 - 1) == f"{2**63 - 1} ms"
    assert time_text(None) == ""


def test_a_count_has_a_singular_and_a_plural() -> None:
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(1200, "thread") == "1,200 threads"
