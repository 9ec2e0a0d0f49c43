"""README shows the summary of the last whole run, as a table and as pictures."""

import re
from pathlib import Path
from xml.sax.saxutils import unescape

import msgspec
import pytest
from benchmarks.__main__ import Result, publish_all
from benchmarks.picture import LIGHT, draw
from benchmarks.publishing import RESULTS, ROOT, files_of, publish, published, section_of
from benchmarks.summary import Line, Summary, summarize
from benchmarks.tables import Row, Table
from benchmarks.workloads import WORKLOADS

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_and_the_pictures_of_readme_agree_with_the_summary() -> None:
    summary = published()
    assert section_of(summary) in README
    for name, content in files_of(summary).items():
        assert (RESULTS / name).read_text(encoding="utf-8") == content
        assert name == "summary.json" or f"benchmarks/results/{name}" in README


SUMMARY = Summary(
    commit="abc",
    machine="2 cores",
    lines=(
        Line(work="append", by_hand=4_000, treadle=3_000, peer=1_000, peer_name="peer <1>"),
        Line(work="claim", by_hand=None, treadle=2_000, peer=None),
    ),
)


def test_a_whole_run_replaces_the_table(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    publish(SUMMARY, tmp_path, readme)
    written = readme.read_text(encoding="utf-8")
    assert "| append | 4,000 | 3,000 | 1,000 (peer <1>) |\n| claim | - | 2,000 | - |\n" in written
    assert written.replace(section_of(SUMMARY), "") == README.replace(section_of(published()), "")
    kept = (tmp_path / "summary.json").read_bytes()
    assert msgspec.json.decode(kept, type=Summary) == SUMMARY


def test_the_bars_of_a_line_are_to_scale() -> None:
    picture = draw(SUMMARY, LIGHT)
    bars = re.findall(r'<rect x=.* width="(\d+)"', picture)
    assert bars == ["300", "225", "75", "300"]
    texts = [unescape(text) for text in re.findall(r"<text [^>]*>([^<]*)</text>", picture)]
    assert {"4,000 by hand", "3,000 Treadle", "1,000 peer <1>", "2,000 Treadle"} <= set(texts)
    assert texts[-1] == "2 cores; commit abc"


def test_a_summary_has_the_best_peer_that_is_durable() -> None:
    def table(name: str, *rows: Row) -> Table:
        return Table(name=name, work="", columns=(), rows=rows)

    tables = [
        table(
            "one-caller",
            Row(who="by hand (the same statements)", figures={"per_second": 4_000.4}),
            Row(who="treadle (sqlite)", figures={"per_second": 3_000}),
            Row(who="slow 1.0", figures={"per_second": 10}),
            Row(who="fast 1.0", figures={"per_second": 20}),
            Row(who="lazy 1.0", figures={"per_second": 900}, durability="WAL, NORMAL"),
        ),
        table("many-callers"),
        table("queue"),
        table("postgres-appends"),
        table(
            "postgres-drain",
            Row(who="treadle (postgresql)", figures={"batch": 1, "per_second": 5}),
            Row(who="treadle (postgresql)", figures={"batch": 10, "per_second": 50}),
            Row(who="treadle (postgresql), Worker", figures={"batch": 10, "per_second": 45}),
            Row(who="by hand (asyncpg) 0.30", figures={"batch": 10, "per_second": 99}),
            Row(who="pgqueuer 1.6", figures={"batch": 10, "per_second": 40}),
            Row(who="one by one", figures={"batch": 1, "per_second": 30}),
        ),
        table(
            "files",
            Row(who="treadle (files), append", figures={"floor": 200, "per_second": 2_000}),
            Row(who="treadle (files), append", figures={"floor": 900, "per_second": 900}),
        ),
    ]
    lines = {line.work: line for line in summarize(tables, "abc", "2 cores").lines}
    one = lines["SQLite, one caller appends 1 KB"]
    assert (one.by_hand, one.treadle, one.peer, one.peer_name) == (4_000, 3_000, 20, "fast 1.0")
    drain = lines["PostgreSQL, drain, 10 at a time"]
    assert (drain.by_hand, drain.treadle, drain.peer) == (99, 50, 40)
    worker = lines["PostgreSQL, Worker, 10 at a time"]
    assert (worker.by_hand, worker.treadle, worker.peer) == (None, 45, 40)
    assert lines["PostgreSQL, drain, 100 at a time"].peer == 30
    files = lines["Files, one caller appends 1 KB"]
    assert (files.by_hand, files.treadle, files.peer) == (5_000, 2_000, None)
    assert lines["Files, 64 callers append"].treadle is None


def test_a_run_in_which_something_is_missing_leaves_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = Result(
        quick=False,
        python="3.11",
        system="Linux",
        cores=2,
        sqlite="3.40",
        syncs_per_second=5_000,
        minutes=12,
        tables=tuple(Table(name=name, work="", columns=(), rows=()) for name in WORKLOADS),
        targets=(),
    )
    publish_all(result)
    assert "README's table was not replaced. Not measured: SQLite, one" in capsys.readouterr().out
    assert (ROOT / "README.md").read_text(encoding="utf-8") == README
