"""`treadle demo`, in real processes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.support import PROJECT, SHIPPED, line_of, read_until, run, run_json, spawn
from treadle import Thread
from treadle.cli.demo.play import DemoResult
from treadle.cli.demo.proof import Evidence, Proof, judge
from treadle.cli.demo.report import command_line, write_result
from treadle.cli.demo.script import write_script

SCRIPT = Path(sys.executable).with_name("treadle")


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)


def demo(*arguments: object) -> tuple[dict[str, Any], str, int]:
    child = spawn("demo", "--json", *arguments)
    output, errors = child.communicate()
    return json.loads(output), errors, child.returncode


def workers_left() -> str:
    listing = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    folder = os.environ["TMPDIR"]
    return "\n".join(line for line in listing.stdout.splitlines() if folder in line)


def check_result(document: dict[str, Any], errors: str, conversations: int) -> None:
    assert document["ok"], document
    totals = document["totals"]
    assert totals["conversations"] == conversations
    assert totals["turns_found"] == totals["turns_expected"] == totals["runs_done"]
    assert totals["messages_found"] == totals["messages_expected"]
    assert totals["entries_left"] == 0
    assert totals["redone"] >= 1
    assert document["killed"] is not None
    assert f"(pid {document['killed']['pid']}) with SIGKILL" in errors


def test_a_killed_worker_neither_loses_nor_duplicates_anything() -> None:
    document, errors, code = demo()
    assert code == 0
    check_result(document, errors, 36)
    assert document["seconds"] < 60

    store = document["store"]
    entry = run_json("mailboxes", "show", document["killed"]["entry_id"], "--store", store)["entry"]
    assert entry["status"] == "accepted"
    assert entry["attempt_count"] >= 2
    usage = run_json("runs", "usage", "--by", "agent", "--store", store)["items"]
    assert sum(each["runs"] for each in usage) == 141
    assert run_json("mailboxes", "stats", "--store", store)["accepted"] == 141

    assert run_json("import", SHIPPED, "--store", store)["unchanged"] == 36
    assert workers_left() == ""


def test_the_only_worker_is_replaced_and_the_printed_commands_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").write_text(f"{line_of('a', 'x', 'y')}\nnonsense\n{line_of('b', 'z')}")
    script = os.path.relpath(SCRIPT, tmp_path)
    arguments = ("demo", "--input", "two.jsonl", "--store", "here", "--processes", "1")
    child = subprocess.run([script, *arguments], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "line 2: it is not JSON" in child.stderr
    assert "killed worker 1 (pid " in child.stderr
    assert "treadle: 1 line of the input could not be read" in child.stderr
    rows = [line.split("\t") for line in child.stdout.splitlines()]
    assert rows[1][:2] == ["a", "2/2"]
    assert rows[1][-1] == "yes"
    assert "every turn is there exactly once and in order" in child.stdout

    _, found, printed = child.stdout.partition("To look at it:\n")
    assert found
    commands = [line.strip() for line in printed.splitlines()]
    assert len(commands) == 5
    for command in commands:
        pasted = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert (pasted.returncode, pasted.stderr) == (0, "")
        assert pasted.stdout

    again = run("demo", "--store", "here")
    assert again.exit_code == 1
    assert "the store here is not empty; name a new one, or omit --store" in again.stderr


def test_the_printed_commands_begin_as_the_demo_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT.parent / "treadle")])
    assert command_line() == str(SCRIPT)  # make demo: a script that is not on PATH
    monkeypatch.setenv("PATH", str(SCRIPT.parent))
    assert command_line() == "treadle"
    monkeypatch.setattr(sys, "argv", [str(PROJECT / "src" / "treadle" / "__main__.py")])
    assert command_line() == f"{sys.executable} -m treadle"


def test_the_printed_commands_do_not_show_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = judge(write_script(Thread(id="t")), Evidence(head=None, runs=(), entries=()))
    proof = Proof(verdicts=(verdict,))
    url = "postgresql://me:sekret@db.example/agents"
    write_result(DemoResult(proof=proof, killed=None, url=url, seconds=1.0), with_directions=True)
    output = capsys.readouterr().out
    assert "Set TREADLE_STORE to its URL" in output
    assert "--store" not in output
    assert "sekret" not in output


def test_the_demo_does_not_touch_the_store_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREADLE_STORE", str(tmp_path / "precious"))
    (tmp_path / "none.jsonl").write_text('{"id": "a", "messages": []}')
    document, _, code = demo("--input", "none.jsonl", "--no-keep")
    assert code == 0
    assert not Path(document["store"]).exists()
    assert document["totals"]["turns_expected"] == 0
    assert document["killed"] is None
    assert not (tmp_path / "precious").exists()


def test_an_input_without_conversations_is_an_error_and_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    result = run("demo", "--input", "empty.jsonl")
    assert result.exit_code == 1
    assert "the input has no conversation" in result.stderr
    result = run("demo", "--store", "memory:")
    assert result.exit_code == 2
    assert "memory: is forgotten when the command ends" in result.stderr
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_ctrl_c_stops_the_demo_and_its_workers(tmp_path: Path) -> None:
    from tests.cli.terminal import CTRL_C, run_in_terminal

    output, code = run_in_terminal("demo", "--think-ms", 300, answers={"answering": CTRL_C})
    assert code == 130
    assert "Traceback" not in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")  # the cursor is shown again
    assert workers_left() == ""
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_dashboard_shows_the_demo_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").write_text(f"{line_of('a', 'x', 'y')}\n{line_of('b', 'z')}")
    child = spawn("demo", "--serve", "--think-ms", 200, "--input", tmp_path / "two.jsonl")
    assert child.stdout is not None
    try:
        line = read_until(child, "the dashboard is at")
        assert "<title>Overview" in httpx.get(line.split()[5], timeout=30).text
        read_until(child, "every turn is there exactly once", "stdout")
        assert child.poll() is None
    finally:
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    assert "Traceback" not in errors
    assert workers_left() == ""


def test_ctrl_c_before_the_end_stops_the_demo_and_its_dashboard(tmp_path: Path) -> None:
    child = spawn("demo", "--serve", "--no-keep")
    read_until(child, "the dashboard is at")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
    assert workers_left() == ""
    assert list((tmp_path / "temporary").iterdir()) == []


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(line_of("only", "one", "two"))
    child = spawn("demo", "--input", "one.jsonl", "--processes", 2)
    read_until(child, "killed worker")  # the others now wait for its lease to expire
    assert "treadle.cli.demo.process" in workers_left()
    child.kill()
    child.communicate()  # the workers inherit the pipes: they have ended at the end of the output
    assert workers_left() == ""
