"""`treadle threads`, as text and as JSON."""

import json
import os
from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json
from treadle.patches import Increment, track


def test_threads_are_listed(agents: Path) -> None:
    listing = run_json("threads", "list", "--store", agents)
    assert (len(listing["items"]), listing["next_cursor"]) == (1, None)
    item = listing["items"][0]
    assert (item["id"], item["message_count"], item["resource_id"]) == ("t1", 3, "u1")
    titles, row = run("threads", "list", "--store", agents).stdout.splitlines()
    assert titles.split("\t")[:3] == ["thread", "messages", "version"]
    assert row.split("\t")[:3] == ["t1", "3", "0"]


def test_threads_are_listed_with_their_last_messages(agents: Path) -> None:
    said = treadle.Message.assistant("two\nlines")
    in_store(agents, lambda store: store.threads.append("t1", said))
    listing = ("threads", "list", "--last-message", "--store", agents)
    titles, row = run(*listing).stdout.splitlines()
    assert titles.split("\t")[-1] == "last message"
    assert row.split("\t")[-1] == "two lines"
    [item] = run_json(*listing)["items"]
    assert item["last_message"]["message"]["content"] == "two\nlines"


@pytest.mark.parametrize("option", ["--owner", "--parent"])
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


def test_a_thread_whose_patch_does_not_fit_is_shown(agents: Path) -> None:
    broken = track(Increment(("no", "such"), 1))
    in_store(
        agents,
        lambda store: store.threads.append("t1", treadle.ThreadChangeSet(patches=[broken])),
    )
    shown = run("threads", "show", "t1", "--store", agents)
    assert shown.exit_code == 0
    assert '"n": 1' in shown.stdout
    assert "without its patches, which cannot be applied: path not found: $.no.such" in shown.stdout


def test_threads_are_deleted(agents: Path) -> None:
    unasked = run("threads", "delete", "t1", "--store", agents)
    assert unasked.exit_code == 2
    assert "--yes" in unasked.stderr
    ids = ("nope", "a/b", "t1")
    result = run("threads", "delete", "--yes", *ids, "--json", "--store", agents)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"deleted": ["t1"], "missing": ["nope", "a/b"]}
    assert "there is no thread 'nope'" in result.stderr
    assert len(run_json("threads", "list", "--store", agents)["items"]) == 0


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
    fork = ("threads", "fork", "t1", "t2", "--at", 1, "--state", '{"n": 0}', "--owner", "u2")
    assert run_json(*fork, "--store", agents) == {"id": "t2", "version": 0}
    thread = run_json("threads", "show", "t2", "--store", agents)["thread"]
    assert (len(thread["messages"]), thread["state"]) == (1, {"n": 0})
    assert thread["resource_id"] == "u2"
    assert thread["metadata"]["forked_from"]["thread_id"] == "t1"
    again = run("threads", "fork", "t1", "t2", "--state", "1", "--store", agents)
    assert again.exit_code == 1
    copied = run("threads", "fork", "t1", "t3", "--store", agents).stdout
    assert copied == "forked thread 't1' as 't3'\n"


def test_an_earlier_version_is_shown(agents: Path) -> None:
    run("threads", "truncate", "t1", "--keep", 1, "--yes", "--store", agents)
    earlier = run_json("threads", "show", "t1", "--version", 0, "--store", agents)
    assert (earlier["version"], len(earlier["thread"]["messages"])) == (0, 3)
    assert len(run_json("threads", "show", "t1", "--store", agents)["thread"]["messages"]) == 1
    unknown = run("threads", "show", "t1", "--version", 9, "--store", agents)
    assert unknown.exit_code == 1
    assert unknown.stderr == "treadle: version 9 of thread 't1' is not known\n"
    missing = run("threads", "show", "t9", "--version", 0, "--store", agents)
    assert "'t9'" in missing.stderr


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
    assert lines[:2] == ["t1", "3 messages, version 0, owner u1"]


def _filled(folder: Path) -> Path:
    async def fill(store: treadle.Store) -> None:
        for number, name in enumerate("bca", start=1):
            parent = "b" if name == "c" else None
            times = treadle.ThreadMetadata(created_at=number, extra={"title": f"on {name}"})
            thread = treadle.Thread(id=name, parent_thread_id=parent, metadata=times)
            await store.threads.create(thread)
        later = treadle.system_clock() + 1_000
        await store.threads.append("b", treadle.Message.user("hi"), now=later)

    in_store(folder, fill)
    return folder


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ((), "abc"),
        (("--order", "desc"), "cba"),
        (("--by", "created_at"), "acb"),
        (("--by", "created_at", "--order", "asc"), "bca"),
        (("--roots",), "ab"),
        (("--by", "created_at", "--roots", "--limit", 1), "a"),
    ],
)
def test_threads_are_listed_in_an_order(
    tmp_path: Path, words: tuple[object, ...], ids: str
) -> None:
    store = _filled(tmp_path / "s")
    items = run_json("threads", "list", *words, "--store", store)["items"]
    assert "".join(item["id"] for item in items) == ids


def test_a_page_of_threads_names_the_next_one(tmp_path: Path) -> None:
    store = _filled(tmp_path / "s")
    words = ("threads", "list", "--by", "updated_at", "--limit", 1, "--store", store)
    first = run_json(*words)
    assert first["items"][0]["metadata"]["title"] == "on b"
    assert f"--after {first['next_cursor']}" in run(*words).stderr
    assert run_json(*words, "--after", first["next_cursor"])["items"][0]["id"] != "b"
    wrong = run("threads", "list", "--after", first["next_cursor"], "--store", store)
    assert "it is a cursor of a listing by updated_at, not by id" in wrong.stderr


def test_a_damaged_thread_is_named_and_the_others_are_listed(agents: Path) -> None:
    (agents / "t2.json").write_text("{")
    result = run("threads", "list", "--store", agents)
    assert result.exit_code == 0
    assert "t2.json cannot be read; see `treadle doctor`" in result.stderr
    assert "t1" in result.stdout


def test_a_thread_is_updated(agents: Path) -> None:
    text = run("threads", "update", "t1", "--title", "Brakes", "--store", agents).stdout
    assert text == "updated thread 't1'\n"
    words = ("threads", "update", "t1", "--metadata", '{"title": null, "a": [1]}', "--owner", "")
    head = run_json(*words, "--expected", 0, "--store", agents)
    assert (head["version"], head["metadata"]["a"]) == (0, [1])
    assert "title" not in head["metadata"]
    assert "resource_id" not in head


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "give --title, --metadata or --owner"),
        (("--metadata", "[1]"), "a merge patch is a JSON object"),
        (("--metadata", "{"), "metadata"),
        (("--metadata", '{"updated_at": 1}'), "the store sets"),
        (("--title", "x", "--expected", "7"), "version"),
    ],
)
def test_an_update_that_cannot_be_is_refused(
    agents: Path, words: tuple[str, ...], error: str
) -> None:
    result = run("threads", "update", "t1", *words, "--store", agents)
    assert result.exit_code != 0
    assert error in result.stderr
    assert run("threads", "update", "t9", "--title", "x", "--store", agents).exit_code == 1


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
    assert len(run_json("threads", "list", "--store", agents)["items"]) == left
