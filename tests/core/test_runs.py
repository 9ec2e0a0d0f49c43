"""Runs: what an append makes of a run's record, the order of listings, pages."""

from typing import Any

import msgspec
import pytest

from treadle import RunMeta, RunRecord
from treadle.core.runs import RunQuery, run_after, run_matches, run_order
from treadle.testing._harness.builders import run

META = RunMeta(
    agent_id="alpha",
    origin="a2a",
    status="waiting",
    parent_thread_id="p",
    termination_code="error",
    termination_detail="why",
    source_mailbox_entry_id="e",
    input_tokens=3,
    output_tokens=4,
)


def test_an_empty_run_id_records_nothing() -> None:
    assert run_after(None, "", "t", None, META, 5) is None
    assert run_after(run("r"), "", "t", None, META, 5) is None


def test_without_meta_a_new_run_is_not_recorded() -> None:
    assert run_after(None, "r", "t", None, None, 5) is None


def test_without_meta_an_existing_runs_updated_at_moves_and_nothing_else() -> None:
    before = run("r", "other", agent_id="alpha", created_at=1, updated_at=2)
    after = run_after(before, "r", "t", "parent", None, 5)
    assert after == run("r", "other", agent_id="alpha", created_at=1, updated_at=5)


def test_with_meta_a_new_run_is_recorded_as_told() -> None:
    assert run_after(None, "r", "t", "parent", META, 5) == RunRecord(
        run_id="r",
        thread_id="t",
        agent_id="alpha",
        parent_run_id="parent",
        parent_thread_id="p",
        origin="a2a",
        status="waiting",
        termination_code="error",
        termination_detail="why",
        created_at=5,
        updated_at=5,
        source_mailbox_entry_id="e",
        input_tokens=3,
        output_tokens=4,
    )


FIRST_WRITER = {
    "parent_run_id": ("parent_run_id", "changes"),
    "parent_thread_id": ("parent_thread_id", "meta"),
    "source_mailbox_entry_id": ("source_mailbox_entry_id", "meta"),
}


@pytest.mark.parametrize("field", FIRST_WRITER)
@pytest.mark.parametrize(
    ("earlier", "later", "kept"),
    [
        (None, None, None),
        (None, "new", "new"),
        ("old", None, "old"),
        ("old", "new", "old"),
        ("", "new", ""),
    ],
)
def test_the_first_writer_wins(
    field: str, earlier: str | None, later: str | None, kept: str | None
) -> None:
    before = msgspec.structs.replace(run("r"), **{field: earlier})
    parent = later if field == "parent_run_id" else None
    meta = (
        RunMeta()
        if field == "parent_run_id"
        else msgspec.structs.replace(RunMeta(), **{field: later})
    )
    after = run_after(before, "r", "t", parent, meta, 5)
    assert after is not None
    assert getattr(after, field) == kept


@pytest.mark.parametrize(
    "field",
    [
        "agent_id",
        "origin",
        "status",
        "termination_code",
        "termination_detail",
        "input_tokens",
        "output_tokens",
    ],
)
def test_the_last_writer_wins_for_everything_else(field: str) -> None:
    before = run_after(None, "r", "t", None, META, 5)
    after = run_after(before, "r", "t", None, RunMeta(), 6)
    assert after is not None
    assert getattr(after, field) == getattr(RunMeta(), field)
    assert getattr(after, field) != getattr(before, field)


def test_meta_keeps_created_at_and_metadata_and_moves_thread_and_updated_at() -> None:
    before = run("r", "old", created_at=1, updated_at=2, metadata={"k": 1}, extra={"x": 1})
    after = run_after(before, "r", "new", None, RunMeta(), 9)
    assert after == run("r", "new", created_at=1, updated_at=9, metadata={"k": 1}, extra={"x": 1})


def test_runs_are_listed_oldest_first_then_by_id() -> None:
    runs = [run("b", created_at=2), run("c", created_at=1), run("a", created_at=2)]
    assert [each.run_id for each in sorted(runs, key=run_order)] == ["c", "a", "b"]


MATCHING: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing asked": ({}, True),
    "its thread": ({"thread_id": "t"}, True),
    "another thread": ({"thread_id": "u"}, False),
    "its parent": ({"parent_run_id": "p"}, True),
    "another parent": ({"parent_run_id": "q"}, False),
    "its status": ({"status": "running"}, True),
    "another status": ({"status": "done"}, False),
    "its origin": ({"origin": "user"}, True),
    "another origin": ({"origin": "a2a"}, False),
    "its code": ({"termination_code": "ok"}, True),
    "another code": ({"termination_code": "error"}, False),
    "created from, inclusive": ({"created_at_from": 10}, True),
    "created from later": ({"created_at_from": 11}, False),
    "created to, inclusive": ({"created_at_to": 10}, True),
    "created to earlier": ({"created_at_to": 9}, False),
    "updated from, inclusive": ({"updated_at_from": 20}, True),
    "updated from later": ({"updated_at_from": 21}, False),
    "updated to, inclusive": ({"updated_at_to": 20}, True),
    "updated to earlier": ({"updated_at_to": 19}, False),
    "all of it": ({"thread_id": "t", "status": "running", "created_at_from": 1}, True),
    "one of two": ({"thread_id": "t", "status": "done"}, False),
}


@pytest.mark.parametrize(("query", "matches"), MATCHING.values(), ids=MATCHING)
def test_a_query_matches(query: dict[str, Any], matches: bool) -> None:
    record = run("r", parent_run_id="p", termination_code="ok", created_at=10, updated_at=20)
    assert run_matches(record, RunQuery(**query)) is matches
