"""`treadle threads`, as text and as JSON."""

import json
import os
from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json


def test_threads_are_listed(agents: Path) -> None:
    listing = run_json("threads", "list", "--store", agents)
    assert listing["total"] == 1
    item = listing["items"][0]
    assert (item["id"], item["message_count"], item["resource_id"]) == ("t1", 3, "u1")
    titles, row = run("threads", "list", "--store", agents).stdout.splitlines()
    assert titles.split("\t")[:3] == ["thread", "messages", "version"]
    assert row.split("\t")[:3] == ["t1", "3", "0"]


@pytest.mark.parametrize("option", ["--resource", "--parent"])
def test_threads_are_listed_by_filter(agents: Path, option: str) -> None:
    child = treadle.Thread(id="t2", resource_id="x", parent_thread_id="x")
    in_store(agents, lambda store: store.threads.create(child))
    items = run_json("threads", "list", option, "x", "--store", agents)["items"]
    assert [item["id"] for item in items] == ["t2"]


def test_a_thread_is_shown(agents: Path) -> None:
    text = run("threads", "show", "t1", "--store", agents).stdout
    assert "[0] user\nhello [bold]there[/bold] \\x1b[31m" in text
    assert '→ look({"a":1})' in text
    assert "[2] system (internal)" in text
    assert '"n": 1' in text
    shown = run_json("threads", "show", "t1", "--store", agents)
    assert shown["version"] == 0
    assert len(shown["thread"]["messages"]) == 3
    last = run_json("threads", "show", "t1", "--last", 1, "--store", agents)
    assert last["thread"]["messages"][0]["content"] == "be quiet"
    assert last["message_times"] == shown["message_times"][-1:]


def test_threads_are_deleted(agents: Path) -> None:
    unasked = run("threads", "delete", "t1", "--store", agents)
    assert unasked.exit_code == 2
    assert "--yes" in unasked.stderr
    result = run("threads", "delete", "--yes", "t1", "nope", "--json", "--store", agents)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"deleted": ["t1"], "missing": ["nope"]}
    assert "there is no thread 'nope'" in result.stderr
    assert run_json("threads", "list", "--store", agents)["total"] == 0


def test_the_end_of_a_thread_is_removed(agents: Path) -> None:
    for wrong in ((), ("--keep", "1", "--drop", "1")):
        assert run("threads", "truncate", "t1", *wrong, "--store", agents).exit_code == 2
    unasked = run("threads", "truncate", "t1", "--drop", "1", "--store", agents)
    assert unasked.exit_code == 2
    assert "--yes" in unasked.stderr
    result = run_json("threads", "truncate", "t1", "--drop", 1, "--yes", "--store", agents)
    assert result["version"] == 1
    assert [message["content"] for message in result["removed"]] == ["be quiet"]
    text = run("threads", "truncate", "t1", "--keep", 1, "--yes", "--store", agents).stdout
    assert text == "removed 1 message; the thread is at version 2\n"
    negative = run("threads", "truncate", "t1", "--keep", -1, "--yes", "--store", agents)
    assert negative.stderr.startswith("treadle: invalid value at truncateThread.keep")


def test_a_thread_is_forked(agents: Path) -> None:
    unknown = run("threads", "fork", "t1", "t2", "--at", 1, "--store", agents)
    assert unknown.exit_code == 1
    assert "forkThread.state" in unknown.stderr
    damaged = run("threads", "fork", "t1", "t2", "--state", "{", "--store", agents)
    assert damaged.stderr.startswith("treadle: invalid value at state: it is not JSON")
    fork = ("threads", "fork", "t1", "t2", "--at", 1, "--state", '{"n": 0}', "--resource", "u2")
    assert run_json(*fork, "--store", agents) == {"id": "t2", "version": 0}
    thread = run_json("threads", "show", "t2", "--store", agents)["thread"]
    assert (len(thread["messages"]), thread["state"]) == (1, {"n": 0})
    assert thread["resource_id"] == "u2"
    assert thread["metadata"]["forked_from"]["thread_id"] == "t1"
    again = run("threads", "fork", "t1", "t2", "--state", "1", "--store", agents)
    assert again.exit_code == 1
    copied = run("threads", "fork", "t1", "t3", "--store", agents).stdout
    assert copied == "forked thread 't1' as 't3'\n"


def test_an_invalid_id_is_an_error_of_one_line(agents: Path) -> None:
    result = run("threads", "show", "../etc", "--store", agents)
    assert result.exit_code == 1
    assert result.stderr.startswith("treadle: invalid thread id '../etc'")


def test_a_thread_without_times_is_shown(agents: Path) -> None:
    path = agents / "t1.json"
    thread = json.loads(path.read_bytes())
    thread["metadata"] = {}
    path.write_text(json.dumps(thread))
    lines = run("threads", "show", "t1", "--store", agents).stdout.splitlines()
    assert lines[:2] == ["t1", "3 messages, version 0, resource u1"]


def test_a_long_first_message_is_shortened() -> None:
    thread = treadle.Thread(id="t", messages=(treadle.Message.user("x" * 100),))
    in_store("agents", lambda store: store.threads.create(thread))
    assert run("threads", "list").stdout.endswith("\t" + "x" * 59 + "…\n")


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
@pytest.mark.parametrize(
    ("answer", "status", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("\x03", 130, 1)]
)
def test_deleting_asks_on_a_terminal(agents: Path, answer: str, status: int, left: int) -> None:
    from tests.cli.terminal import run_in_terminal

    output, code = run_in_terminal(
        "threads",
        "delete",
        "t1",
        "--store",
        agents,
        answers={"Delete 1 thread?": answer},
        insists=True,
    )
    assert code == status, output
    assert "Traceback" not in output
    assert run_json("threads", "list", "--store", agents)["total"] == left
