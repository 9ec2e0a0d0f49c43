"""Standard output that is full, closed or without a reader, with every command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.cli.support import in_store, spawn
from tests.cli.test_app import ALL
from treadle.cli.terminal.failure import FAILED, PIPE_CLOSED

DRIVER = """
import io, json, os, sys
from contextlib import redirect_stderr
from treadle.cli.app import app

def run(arguments, kind):
    if kind == "full":
        target = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, target = os.pipe()
        os.close(reader)
    os.dup2(target, 1)
    os.close(target)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))
    try:
        with redirect_stderr(io.StringIO()) as errors:
            app.main(arguments, prog_name="treadle")
    except SystemExit as end:
        sys.stdout.flush()  # as Python does at its end
        return [end.code, errors.getvalue()]

answers = os.dup(1)
for line in sys.stdin:
    arguments, kind = json.loads(line)
    os.write(answers, json.dumps(run(arguments, kind)).encode() + b"\\n")
"""
"""Runs commands one after the other: starting Python for each would take most of the time."""

WORKING: dict[str, list[str]] = {
    "backup": ["backup", "copy-{kind}.db", "--store", "sqlite:///store.db"],
    "completion": ["completion", "bash"],
    "copy": ["copy", "agents", "copy-{kind}"],
    "doctor": ["doctor"],
    "erase": ["erase", "--owner", "nobody", "--yes"],
    "export": ["export"],
    "import": ["import", "empty.jsonl"],
    "mailboxes cancel": ["mailboxes", "cancel", "--mailbox", "m1"],
    "mailboxes delete": ["mailboxes", "delete", "--yes", "deleted-{kind}"],
    "mailboxes interrupt": ["mailboxes", "interrupt", "m1"],
    "mailboxes pause": ["mailboxes", "pause", "m1"],
    "mailboxes resume": ["mailboxes", "resume", "m1"],
    "mailboxes list": ["mailboxes", "list"],
    "mailboxes entries": ["mailboxes", "entries"],
    "mailboxes purge": ["mailboxes", "purge", "--older-than", "1d"],
    "mailboxes requeue": ["mailboxes", "requeue", "--all"],
    "mailboxes show": ["mailboxes", "show", "m1"],
    "mailboxes stats": ["mailboxes", "stats"],
    "mailboxes why": ["mailboxes", "why", "why-{kind}"],
    "migrate": ["migrate"],
    "documents delete": ["documents", "delete", "c", "k-{kind}"],
    "documents list": ["documents", "list"],
    "documents purge": ["documents", "purge"],
    "documents put": ["documents", "put", "c", "k", "--value", "1"],
    "documents show": ["documents", "show", "c", "k-shown"],
    "runs answer": ["runs", "answer", "asks-{kind}", "1", "--run-id", "answer-{kind}"],
    "runs delete": ["runs", "delete", "--yes", "run-{kind}"],
    "runs list": ["runs", "list"],
    "runs request": ["runs", "request", "helper", "said", "--run-id", "asked-{kind}"],
    "runs show": ["runs", "show", "r1"],
    "runs usage": ["runs", "usage"],
    "send": ["send", "m3", "1"],
    "threads delete": ["threads", "delete", "--yes", "t-{kind}"],
    "threads list": ["threads", "list"],
    "threads purge": ["threads", "purge", "--yes", "--older-than", "9d"],
    "threads follow": ["threads", "follow", "said", "--after", "0"],
    "threads fork": ["threads", "fork", "t1", "fork-{kind}"],
    "threads show": ["threads", "show", "t1"],
    "threads truncate": ["threads", "truncate", "--yes", "--drop", "1", "t1"],
    "threads update": ["threads", "update", "t1", "--title", "x"],
}
READ_AGAIN = {"doctor", "import", "mailboxes", "migrate", "runs", "send"}
SLOW = {"certify", "demo", "serve", "watch", "work"}
LEAVES = {" ".join(path): path for path, command in ALL if not hasattr(command, "commands")}
LINE = "treadle: standard output cannot be written: No space left on device\n"


def test_every_command_is_tried() -> None:
    assert {*WORKING, *SLOW} == {*LEAVES}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
@pytest.mark.parametrize("kind", ["full", "closed"])
def test_output_that_arrives_nowhere_ends_every_command_the_same_way(
    agents: Path, kind: str
) -> None:
    async def add(store: treadle.Store) -> None:
        await store.threads.create(treadle.Thread(id=f"t-{kind}"))
        await store.threads.create(treadle.Thread(id="said"))
        await store.threads.append("said", treadle.Message.user("hi"))
        await store.documents.put("c", f"k-{kind}", 1)
        await store.mailboxes.send(f"deleted-{kind}", 1)
        waiting = treadle.MailboxEntry(entry_id=f"why-{kind}", mailbox_id="why")
        await store.mailboxes.enqueue(waiting)
        await store.documents.put("c", "k-shown", 1)
        asking = treadle.RunRecord(run_id=f"asks-{kind}", thread_id="said", status="waiting")
        await store.runs.upsert(asking)
        done = treadle.RunRecord(run_id=f"run-{kind}", thread_id="said", status="done")
        await store.runs.upsert(done)

    in_store(agents, add)
    in_store("sqlite:///store.db", add)
    Path("empty.jsonl").touch()
    helps = [[*path, "--help"] for path, _ in ALL] + [["--version"]]
    working = [[word.format(kind=kind) for word in words] for words in WORKING.values()]
    with_json = [
        [*words, "--json"] for words in working if words[0] in READ_AGAIN and "delete" not in words
    ]
    commands = [*helps, *working, *with_json]
    given = "\n".join(json.dumps([words, kind]) for words in commands)
    child = subprocess.run(
        [sys.executable, "-c", DRIVER], input=given, capture_output=True, text=True, check=True
    )
    results: list[Any] = [json.loads(line) for line in child.stdout.splitlines()]
    wanted = [FAILED, LINE] if kind == "full" else [PIPE_CLOSED, ""]
    for words, result in zip(commands, results, strict=True):
        assert result == wanted, words


def test_a_process_ends_with_the_status_of_a_closed_pipe(agents: Path) -> None:
    child = spawn("threads", "list", "--store", agents)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait() == PIPE_CLOSED


@pytest.mark.parametrize("words", [["import"], ["send", "m", "-"]], ids=" ".join)
def test_input_that_cannot_be_read_is_an_error_of_one_line(words: list[str]) -> None:
    with Path("for-writing").open("wb") as stream:
        child = subprocess.run(
            [sys.executable, "-m", "treadle", *words],
            stdin=stream,
            capture_output=True,
            text=True,
            check=False,
        )
    assert child.returncode == FAILED
    assert child.stderr == "treadle: the input cannot be read: Bad file descriptor\n"


def test_commands_write_through_the_terminal_s_functions_only() -> None:
    """Those escape what a terminal obeys, and know what to do when nothing can be written."""
    package = Path(treadle.__file__).parent / "cli"
    terminal = {"notes.py", "output.py", "progress.py"}
    for path in package.rglob("*.py"):
        if path.name not in terminal and path != package / "__init__.py":
            assert re.search(r"click\.s?echo\(|\bprint\(", path.read_text()) is None, path


@pytest.mark.skipif(os.name != "posix", reason="descriptors are not numbered on Windows")
def test_closed_standard_files_are_not_taken_by_the_files_of_a_store(agents: Path) -> None:
    script = (
        f"{sys.executable} -m treadle threads list --store {agents} <&- >&- 2>errors; echo $?;"
        f"{sys.executable} -m treadle send m9 1 --store {agents} 2>&- <&-; echo $?"
    )
    child = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    first, entry, second = child.stdout.splitlines()
    assert (first, len(entry), second) == ("1", 36, "0")
    line = "treadle: standard output cannot be written: Bad file descriptor\n"
    assert Path("errors").read_text() == line
