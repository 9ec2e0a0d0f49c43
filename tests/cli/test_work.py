"""`treadle work`, in real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.support import run, run_json, spawn
from treadle.cli.processes import supervisor
from treadle.cli.targets import load_handler
from treadle.cli.terminal.failure import Failure
from treadle.worker import Backoff

AGENT = """
import asyncio, os, pathlib

async def handle(delivery):
    async with delivery.batch() as step:
        if delivery.entry.mailbox_id != "log":
            step.mailboxes.send("log", {"pid": os.getpid()})

async def slow(delivery):
    pathlib.Path("started").touch()
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
def _agent(tmp_path: Path) -> None:
    (tmp_path / "agents_of_test.py").write_text(AGENT)


def wait_for(condition: Callable[[], bool], limit_s: float = 20) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def work(*arguments: object) -> "subprocess.Popen[str]":
    return spawn("work", *arguments)


def finish(child: "subprocess.Popen[str]") -> str:
    _, errors = child.communicate(timeout=30)
    return errors


def count(status: str) -> int:
    return int(run_json("mailboxes", "stats")[status])


def children_of(child: "subprocess.Popen[str]") -> list[int]:
    listing = subprocess.run(
        ["ps", "-ewwo", "pid,ppid"], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listing.stdout.splitlines()[1:]]
    return [int(pid) for pid, parent in rows if int(parent) == child.pid]


@pytest.mark.parametrize("processes", [1, 2])
def test_until_idle_it_answers_all_and_ends(processes: int) -> None:
    for number in range(6):
        run("send", f"m{number}", "1")
    child = work("agents_of_test:handle", "--until-idle", "--processes", processes)
    errors = finish(child)
    assert child.returncode == 0, errors
    assert count("accepted") == 12
    assert count("queued") == count("claimed") == 0


def test_a_plain_function_and_a_dotted_name_will_do() -> None:
    run("send", "m", "1")
    child = work("agents_of_test:Agents.handle", "--until-idle")
    assert finish(child).startswith("working ./agents with plain")
    assert child.returncode == 0
    assert count("accepted") == 1


def test_one_mailbox_only() -> None:
    run("send", "m", "1")
    run("send", "other", "1")
    finish(work("agents_of_test:plain", "--until-idle", "--mailbox", "m"))
    assert (count("accepted"), count("queued")) == (1, 1)


def test_after_max_attempts_it_is_a_dead_letter() -> None:
    run("send", "m", "1")
    child = work("agents_of_test:failing", "--until-idle", "--max-attempts", 1)
    errors = finish(child)
    assert child.returncode == 0
    assert count("dead_letter") == 1
    assert "no luck" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_stops_it_cleanly(number: signal.Signals, processes: int, tmp_path: Path) -> None:
    run("send", "m", "1")
    child = work("agents_of_test:slow", "--processes", processes)
    wait_for((tmp_path / "started").exists)
    child.send_signal(number)
    errors = finish(child)
    assert child.returncode == 0, errors
    assert count("accepted") == 1
    assert count("claimed") == 0
    assert children_of(child) == []


def test_a_process_that_dies_is_started_again() -> None:
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


async def test_a_process_that_dies_too_often_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF", Backoff(base_ms=1, max_ms=2))
    notes: list[str] = []
    command = [sys.executable, "-S", "-c", "raise SystemExit(7)"]
    several = supervisor.Supervisor(command, until_idle=True, grace_s=1, note=notes.append)
    assert not await several.run(2)
    assert any("ended with status 7; it is started again in 0.001 s" in note for note in notes)
    assert "ended with status 7 again, 6 times in a minute; giving up" in notes[-1]


def test_processes_end_with_their_parent() -> None:
    child = work("agents_of_test:plain", "--processes", 2)
    wait_for(lambda: len(children_of(child)) == 2)
    pids = children_of(child)
    child.kill()
    finish(child)
    wait_for(lambda: not any(is_running(pid) for pid in pids))


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
def test_a_handler_that_is_not_there_is_an_error_of_one_line(target: str, reason: str) -> None:
    child = work(target)
    errors = finish(child)
    assert child.returncode == 1
    assert errors.startswith("treadle: ")
    assert reason in errors
    assert errors.count("\n") == 1


def test_what_a_module_raises_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "broken_of_test.py").write_text("import not_installed_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_at_all"):
        load_handler("broken_of_test:handle")
    with pytest.raises(Failure, match="does not name a handler"):
        load_handler("")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_store_that_ends_with_the_command_is_not_worked(processes: int) -> None:
    result = run("work", "agents_of_test:plain", "--processes", processes, "--store", "memory:")
    assert result.exit_code == 2
    assert "memory: is forgotten when the command ends" in result.stderr
