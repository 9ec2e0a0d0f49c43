"""`treadle runs`, as text and as JSON."""

from functools import partial
from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--thread", "t1"), ["r1"]),
        (("--status", "done"), ["r3", "r2"]),
        (("--status", "done", "--status", "running"), ["r3", "r2", "r1"]),
        (("--owner", "u1"), ["r1"]),
        (("--agent", "helper"), ["r3"]),
        (("--parent", "r1"), ["r3"]),
        (("--origin", "subagent"), ["r3"]),
        (("--by", "updated_at"), ["r3", "r2", "r1"]),
        (("--limit", 2), ["r3", "r2"]),
    ],
)
def test_runs_are_listed_by_filter_and_page(
    agents: Path, options: tuple[object, ...], found: list[str]
) -> None:
    run_record = treadle.RunRecord(
        run_id="r3",
        thread_id="t2",
        parent_run_id="r1",
        origin="subagent",
        status="done",
        agent_id="helper",
        created_at=3,
    )
    in_store(agents, lambda store: store.runs.upsert(run_record))
    items = run_json("runs", "list", *options, "--store", agents)["items"]
    assert [item["run_id"] for item in items] == found


def test_runs_that_wait_for_people_are_found_apart_from_others(agents: Path) -> None:
    for run_id, metadata in (("asks", None), ("plans", {"asks": False})):
        record = treadle.RunRecord(
            run_id=run_id, thread_id="t1", status="waiting", metadata=metadata, created_at=9
        )
        in_store(agents, partial(lambda record, store: store.runs.upsert(record), record))
    lines = run("runs", "list", "--status", "waiting", "--store", agents).stdout.splitlines()[1:]
    assert {(line.split("\t")[0], line.split("\t")[3]) for line in lines} == {
        ("asks", "waiting"),
        ("plans", "waiting (work)"),
    }
    for what, run_id in (("answer", "asks"), ("work", "plans")):
        found = run_json("runs", "list", "--waits-for", what, "--store", agents)["items"]
        assert [each["run_id"] for each in found] == [run_id]


def test_runs_are_listed_and_shown(agents: Path) -> None:
    listing = run_json("runs", "list", "--store", agents)
    assert [run["run_id"] for run in listing["items"]] == ["r2", "r1"]
    assert run("runs", "list", "--store", agents).stdout.splitlines()[2].startswith("r1\tt1\t")
    assert run_json("runs", "show", "r2", "--store", agents)["status"] == "done"
    assert "r2" in run("runs", "show", "r2", "--store", agents).stdout


def test_a_run_that_its_agent_has_not_begun_is_said_to_wait(agents: Path) -> None:
    run("runs", "request", "helper", "t1", "--text", "hi", "--run-id", "new", "--store", agents)
    other = run("send", "box", '"hi"', "--store", agents).stdout.strip()
    shown = run("runs", "show", "new", "--store", agents)
    assert shown.exit_code == 1
    assert "its agent has not begun it. The entry that requests it is queued; see" in shown.stderr
    assert "does not exist" in run("runs", "show", other, "--store", agents).stderr


def test_runs_are_listed_page_by_page(agents: Path) -> None:
    first = run_json("runs", "list", "--limit", 1, "--store", agents)
    assert [item["run_id"] for item in first["items"]] == ["r2"]
    rest = run_json("runs", "list", "--after", first["next_cursor"], "--store", agents)
    assert [item["run_id"] for item in rest["items"]] == ["r1"]
    assert rest["next_cursor"] is None
    note = run("runs", "list", "--limit", 1, "--store", agents).stderr
    assert f"--after {first['next_cursor']} shows the next" in note
    wrong = run("runs", "list", "--after", "x", "--store", agents)
    assert wrong.exit_code == 1
    assert "search.after" in wrong.stderr


async def _use_tokens(store: treadle.Store) -> None:
    day_ms = 24 * 60 * 60 * 1000
    for key, day, tokens in (("r3", 1, 1_000), ("r4", 1, 2_000), ("r5", 20_000, 5)):
        used = treadle.RunRecord(
            run_id=key, thread_id="t1", created_at=day * day_ms, input_tokens=tokens
        )
        await store.runs.upsert(used)


def test_tokens_are_summed(agents: Path) -> None:
    in_store(agents, _use_tokens)
    lines = run("runs", "usage", "--since", "1970-01-02", "--store", agents).stdout.splitlines()
    assert lines[1:] == ["1970-01-02\t2\t3,000\t0", "2024-10-04\t1\t5\t0"]
    by_owner = run_json(
        "runs", "usage", "--by", "owner", "--until", "2024-10-04", "--store", agents
    )
    assert by_owner["items"] == [
        {"key": "u1", "runs": 3, "input_tokens": 3_000, "output_tokens": 0},
        {"runs": 1, "input_tokens": 0, "output_tokens": 0},
    ]


def test_a_run_is_asked_for_once(agents: Path) -> None:
    asked = ("runs", "request", "helper", "new", "--store", agents, "--run-id", "r9")
    first = run_json(*asked, "--text", "hi", "--owner", "ann")
    assert (first["run_id"], first["thread_id"], first["was_known"]) == ("r9", "new", False)
    assert run_json(*asked, "--text", "hi")["was_known"]
    assert run(*asked).stdout == "r9\n"
    entry = run_json("mailboxes", "show", "r9", "--store", agents)["entry"]
    assert (entry["payload"]["agent_id"], entry["payload"]["resource_id"]) == ("helper", "ann")
    elsewhere = run("runs", "request", "helper", "other", "--run-id", "r9", "--store", agents)
    assert elsewhere.exit_code == 1
    assert "run 'r9' already exists; another thread has it" in elsewhere.stderr
    assert run("runs", "request", "helper", "new", "--store", agents).stdout.strip() != "r9"


def waiting(agents: Path, run_id: str, *interrupts: str) -> None:
    asks = {"interrupts": [{"id": each} for each in interrupts]}
    record = treadle.RunRecord(run_id=run_id, thread_id="t1", status="waiting", metadata=asks)
    in_store(agents, lambda store: store.runs.upsert(record))


def test_a_run_that_waits_is_answered_once(agents: Path) -> None:
    waiting(agents, "w")
    answer = ("runs", "answer", "w", "--store", agents)
    given = run_json(*answer, '{"approved": true}', "--run-id", "n", "--message", "yes")
    assert given["run"]["termination_code"] == "answered"
    assert (given["request"]["run_id"], given["request"]["was_known"]) == ("n", False)
    payload = run_json("mailboxes", "show", "n", "--store", agents)["entry"]["payload"]
    assert [each["payload"] for each in payload["resume"]] == [{"approved": True}]
    late = run(*answer, "--text", "no")
    assert late.exit_code == 1
    assert "run 'w' does not wait: it is done ('answered')" in late.stderr
    assert run(*answer, '{"approved": true}', "--run-id", "n").stdout == "n\n"


def test_the_entry_says_who_asks_and_who_answers(agents: Path) -> None:
    here = ("--store", agents)
    run_json("runs", "request", "helper", "t1", "--run-id", "r", "--sender", "anna", *here)
    waiting(agents, "w", "i")
    run_json("runs", "answer", "w", "true", "--run-id", "n", "--sender", "olga", *here)
    for entry_id, sender in (("r", "anna"), ("n", "olga")):
        entry = run_json("mailboxes", "show", entry_id, *here)["entry"]
        assert entry["sender_id"] == sender


@pytest.mark.parametrize(
    ("given", "resume"),
    [
        (("--text", "yes"), [("i", "resolved", "yes"), ("j", "resolved", "yes")]),
        (("--cancelled",), [("i", "cancelled", None), ("j", "cancelled", None)]),
        (("1", "--interrupt", "j"), [("j", "resolved", 1)]),
        (("--cancelled", "--interrupt", "j"), [("j", "cancelled", None)]),
    ],
)
def test_an_answer_is_a_value_a_text_or_none(
    agents: Path, given: tuple[str, ...], resume: list[tuple[object, ...]]
) -> None:
    waiting(agents, "w", "i", "j")
    run_json("runs", "answer", "w", *given, "--run-id", "n", "--store", agents)
    payload = run_json("mailboxes", "show", "n", "--store", agents)["entry"]["payload"]
    found = [(a["interrupt_id"], a["status"], a.get("payload")) for a in payload["resume"]]
    assert found == resume


def test_an_answer_must_be_one(agents: Path) -> None:
    waiting(agents, "w", "i")
    for given in ((), ("1", "--text", "x"), ("1", "--cancelled"), ("{",)):
        assert run("runs", "answer", "w", *given, "--store", agents).exit_code == 2
    unknown = run("runs", "answer", "w", "1", "--interrupt", "k", "--store", agents)
    assert unknown.exit_code == 1
    assert "run 'w' does not ask it; it asks 'i'" in unknown.stderr
    assert run_json("runs", "show", "w", "--store", agents)["status"] == "waiting"


def test_a_paused_run_goes_on_with_its_answer(agents: Path) -> None:
    async def pause(store: treadle.Store) -> None:
        sent = await store.mailboxes.send("t1", "work")
        async with store.batch() as step:
            record = treadle.RunRecord(
                run_id="w",
                thread_id="t1",
                status="waiting",
                source_mailbox_entry_id=sent.entry.entry_id,
            )
            step.runs.upsert(record)
            step.mailboxes.pause("t1")

    in_store(agents, pause)
    given = run("runs", "answer", "w", "--text", "yes", "--store", agents)
    assert given.stdout == "w\n"
    assert run_json("runs", "show", "w", "--store", agents)["status"] == "running"
