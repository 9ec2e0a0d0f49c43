"""`treadle work`: in this process, and in others where signals and the death of a process count."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.support import read_until, run, run_json, spawn
from treadle.cli.processes import supervisor
from treadle.cli.targets import load_handler
from treadle.cli.terminal.failure import PIPE_CLOSED, Failure
from treadle.worker import Backoff

AGENT = """
import asyncio, os, sys

async def handle(delivery):
    async with delivery.batch() as step:
        if delivery.entry.mailbox_id != "log":
            step.mailboxes.send("log", {"pid": os.getpid()})

async def slow(delivery):
    print("started", file=sys.stderr, flush=True)
    await asyncio.sleep(0.3)

async def deadly(delivery):
    if delivery.entry.attempt_count == 1:
        os.kill(os.getpid(), 9)

async def failing(delivery):
    raise ValueError("no luck")

def plain(delivery):
    pass

class Agents:
    handle = staticmethod(plain)

number = 3
"""


@pytest.fixture(autouse=True)
def _agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agents_of_test.py").write_text(AGENT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # `treadle work` adds the current folder
    monkeypatch.delitem(sys.modules, "agents_of_test", raising=False)


def work(*arguments: object) -> "subprocess.Popen[str]":
    return spawn("work", *arguments)


def finish(child: "subprocess.Popen[str]") -> str:
    """Wait until the process and all its children have ended: they share its standard error."""
    _, errors = child.communicate(timeout=30)
    return errors


def count(status: str) -> int:
    return int(run_json("mailboxes", "stats")[status])


@pytest.mark.parametrize("is_installed", [True, False])
def test_handlers_run_on_uvloop_where_it_is_installed(tmp_path: Path, is_installed: bool) -> None:
    (tmp_path / "loops_of_test.py").write_text(
        "import asyncio, sys\n"
        "async def handle(delivery):\n"
        "    print(type(asyncio.get_running_loop()).__module__, file=sys.stderr)\n"
    )
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "uvloop.py").write_text("raise ModuleNotFoundError('no uvloop', name='uvloop')")
    path = [os.environ.get("PYTHONPATH", ""), *([] if is_installed else [str(missing)])]
    run("send", "m", "1")
    child = spawn(
        *("work", "loops_of_test:handle", "--until-idle"),
        environment={"PYTHONPATH": os.pathsep.join(filter(None, path))},
    )
    errors = finish(child)
    assert child.returncode == 0, errors
    assert ("uvloop" in errors) == is_installed
    assert count("accepted") == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_until_idle_it_works_all_entries_and_ends(processes: int) -> None:
    for number in range(6):
        run("send", f"m{number}", "1")
    child = work("agents_of_test:handle", "--until-idle", "--processes", processes)
    errors = finish(child)
    assert child.returncode == 0, errors
    assert count("accepted") == 12
    assert count("queued") == count("claimed") == 0


def test_a_handler_may_be_a_plain_function_with_a_dotted_name() -> None:
    run("send", "m", "1")
    result = run("work", "agents_of_test:Agents.handle", "--until-idle")
    assert result.exit_code == 0
    assert result.stderr.startswith("working ./agents with plain")
    assert count("accepted") == 1


def test_one_mailbox_only_is_worked() -> None:
    run("send", "m", "1")
    run("send", "other", "1")
    assert run("work", "agents_of_test:plain", "--until-idle", "--mailbox", "m").exit_code == 0
    assert (count("accepted"), count("queued")) == (1, 1)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--mailbox-prefix", "-a", "--mailbox-prefix", "b:"), 2),
        (("--except-prefix", "-a", "--except-prefix", "b:"), 2),
        (("--mailbox-prefix", "b", "--except-prefix", "b:"), 3),
    ],
)
def test_only_mailboxes_with_a_prefix_are_worked(
    processes: int, options: tuple[str, ...], left: int
) -> None:
    for mailbox in ("b:1", "b2", "c"):
        run("send", mailbox, "1")
    run("send", "--", "-a", "1")
    child = work("agents_of_test:plain", "--until-idle", "--processes", processes, *options)
    finish(child)
    assert child.returncode == 0
    assert (count("queued"), count("accepted")) == (left, 4 - left)


def test_a_mailbox_beside_a_prefix_is_refused() -> None:
    result = run("work", "agents_of_test:plain", "--mailbox", "m", "--mailbox-prefix", "m")
    assert result.exit_code != 0
    assert "not both" in result.stderr


def test_an_entry_is_a_dead_letter_after_max_attempts() -> None:
    run("send", "m", "1")
    child = work("agents_of_test:failing", "--until-idle", "--max-attempts", 1)
    errors = finish(child)
    assert child.returncode == 0
    assert count("dead_letter") == 1
    assert "no luck" in errors


def test_each_event_is_a_line_of_json() -> None:
    sent = run_json("send", "m", "1")
    run("documents", "put", "c", "k", "--value", "1", "--expires-in", "0s")
    result = run(
        *("work", "agents_of_test:failing", "--until-idle", "--json", "--max-attempts", 2),
        *("--backoff", "1ms", "--max-backoff", "1ms", "--purge-documents"),
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "purged"] == [
        "claimed",
        "retried",
        "claimed",
        "dead_lettered",
    ]
    last = lines[-1]
    assert {name: last[name] for name in ("entry_id", "mailbox_id", "attempt", "error")} == {
        "entry_id": sent["entry"]["entry_id"],
        "mailbox_id": "m",
        "attempt": 2,
        "error": "ValueError: no luck",
    }
    assert (last["process"], last["lasted_ms"] >= 0) == (os.getpid(), True)
    retried = lines[1]
    assert retried["retry_at"] <= lines[2]["time"]


def test_processes_share_the_backoff_and_standard_output() -> None:
    for number in range(4):
        run("send", f"m{number}", "1")
    child = work(
        *("agents_of_test:failing", "--until-idle", "--json", "--processes", 2),
        *("--max-attempts", 3, "--backoff", "1ms", "--max-backoff", "2ms"),
    )
    output, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    lines = [json.loads(line) for line in output.splitlines()]
    assert sum(line["event"] == "dead_lettered" for line in lines) == 4
    assert sum(line["event"] == "retried" for line in lines) == 8
    assert count("dead_letter") == 4
    assert "is a dead letter" in errors


def test_it_stops_when_nobody_reads_its_events() -> None:
    with work("agents_of_test:plain", "--json") as child:
        read_until(child, "working")
        assert child.stdout is not None
        child.stdout.close()
        run("send", "m", "1")
        assert child.wait(timeout=30) == PIPE_CLOSED
    assert count("claimed") == 0


@pytest.mark.parametrize("backoff", ["0ms", "2s"])
def test_a_backoff_that_cannot_be_is_wrong_usage(backoff: str) -> None:
    result = run("work", "agents_of_test:plain", "--backoff", backoff, "--max-backoff", "1s")
    assert result.exit_code == 2
    assert "--backoff is at least 1ms" in result.stderr


@pytest.mark.parametrize("processes", [1, 2])
def test_expired_documents_are_purged_if_that_is_said(processes: int) -> None:
    run("documents", "put", "c", "k", "--value", "1", "--expires-in", "0s")
    child = work(
        *("agents_of_test:plain", "--purge-after", "10ms", "--json", "--processes", processes)
    )
    line = json.loads(read_until(child, "purged", "stdout"))
    child.terminate()
    finish(child)
    assert (line["event"], line["documents"]) == ("purged", 1)


@pytest.mark.parametrize(("number", "processes"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal_lets_the_running_handler_finish(number: signal.Signals, processes: int) -> None:
    run("send", "m", "1")
    child = work("agents_of_test:slow", "--processes", processes)
    read_until(child, "started")
    child.send_signal(number)
    errors = finish(child)
    assert child.returncode == 0, errors
    assert count("accepted") == 1
    assert count("claimed") == 0


def test_a_process_that_dies_is_restarted() -> None:
    for number in range(3):
        run("send", f"m{number}", "1")
    child = work(
        *("agents_of_test:deadly", "--processes", 2, "--until-idle"),
        *("--lease-ms", 300, "--concurrency", 1),
    )
    errors = finish(child)
    assert child.returncode == 0, errors
    assert count("accepted") == 3
    assert "was killed by signal 9; it is started again in 0.1 s" in errors


async def test_a_process_that_dies_too_often_ends_the_supervisor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF", Backoff(base_ms=1, max_ms=2))
    notes: list[str] = []
    command = [sys.executable, "-S", "-c", "raise SystemExit(7)"]
    several = supervisor.Supervisor(command, until_idle=True, grace_s=1, note=notes.append)
    assert not await several.run(2)
    assert any("ended with status 7; it is started again in 0.001 s" in note for note in notes)
    assert "ended with status 7 again, 6 times in a minute; giving up" in notes[-1]


def test_processes_end_with_their_parent() -> None:
    run("send", "m", "1")
    child = work("agents_of_test:slow", "--processes", 2)
    pids = {int(read_until(child, f"process {number} is ").rpartition(" ")[2]) for number in (1, 2)}
    read_until(child, "started")
    child.kill()
    finish(child)
    end = time.monotonic() + 30
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < end, "they go on without their parent"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("agents_of_test", "does not name a handler; write module:handler"),
        (":handle", "does not name a handler"),
        ("no_such_module:handle", "there is no module 'no_such_module', neither in "),
        ("no_such.module:handle", "there is no module 'no_such', neither in "),
        ("agents_of_test:nope", "module 'agents_of_test' has no 'nope'"),
        ("agents_of_test:number", "is not a function"),
    ],
)
def test_a_missing_handler_is_an_error_of_one_line(target: str, reason: str) -> None:
    result = run("work", target)
    assert result.exit_code == 1
    assert result.stderr.startswith("treadle: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (
            "import not_installed_at_all",
            "ModuleNotFoundError: No module named 'not_installed_at_all'",
        ),
        ("from treadle import no_such_name", "ImportError: cannot import name 'no_such_name'"),
        ("def handle(:", "SyntaxError: invalid syntax"),
        ("def read():\n    return {}['key']\nread()", "KeyError: 'key'"),
    ],
)
def test_a_module_that_cannot_be_imported_shows_its_own_frames_and_a_line(
    tmp_path: Path, code: str, error: str
) -> None:
    (tmp_path / "broken_of_test.py").write_text(code)
    (tmp_path / "importing_of_test.py").write_text("import broken_of_test")
    for name in ("broken_of_test", "importing_of_test"):
        result = run("work", f"{name}:handle")
        assert result.exit_code == 1
        *trace, line = result.stderr.splitlines()
        assert line.startswith(f"treadle: module {name!r} cannot be imported: {error}")
        files = re.findall(r'File "(.*?)"', "\n".join(trace))
        assert files[0] == str(tmp_path / f"{name}.py")
        assert [file for file in files if "click" in file or "treadle" in file] == []
        assert ("in read" in result.stderr) == ("def read" in code)
    with pytest.raises(Failure, match="does not name a handler"):
        load_handler("")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_store_in_memory_is_wrong_usage(processes: int) -> None:
    result = run("work", "agents_of_test:plain", "--processes", processes, "--store", "memory:")
    assert result.exit_code == 2
    assert "memory: is forgotten when the command ends" in result.stderr
