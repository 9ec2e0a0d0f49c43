"""`treadle threads purge` and `treadle runs delete`."""

import os
from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json

DAY = 86_400_000


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """A store with two old threads of ann, one with work, an old one of bob, and a new one."""

    async def fill(store: treadle.Store) -> None:
        old = treadle.system_clock() - 2 * DAY
        for thread_id, owner in (("old", "ann"), ("waits", "ann"), ("other", "bob")):
            await store.threads.create(treadle.Thread(id=thread_id, resource_id=owner), now=old)
            record = treadle.RunRecord(run_id=f"of {thread_id}", thread_id=thread_id, status="done")
            await store.runs.upsert(record)
        await store.mailboxes.send("waits", 1)
        await store.threads.create(treadle.Thread(id="new"))

    folder = tmp_path / "agents"
    in_store(folder, fill)
    return folder


def left(store: Path) -> list[str]:
    return sorted(each["id"] for each in run_json("threads", "list", "--store", store)["items"])


def test_old_threads_are_purged_and_active_ones_are_counted(chats: Path) -> None:
    purge = ("threads", "purge", "--yes", "--store", chats)
    assert run(*purge, "--older-than", "3d").stdout == "purged nothing\n"
    result = run(*purge, "--older-than", "1d", "--owner", "ann")
    assert result.stdout.splitlines() == [
        "purged 1 thread, 1 run",
        "left 1 old thread: work waits there, or below",
    ]
    assert not result.stderr
    assert left(chats) == ["new", "other", "waits"]
    assert run_json(*purge, "--older-than", "1d") == {
        "threads": 1,
        "runs": 1,
        "mailboxes": 0,
        "entries": 0,
        "active": 1,
    }
    assert left(chats) == ["new", "waits"]


def test_a_purge_of_threads_needs_an_age_and_a_yes(chats: Path) -> None:
    assert run("threads", "purge", "--yes", "--store", chats).exit_code == 2
    result = run("threads", "purge", "--older-than", "1d", "--store", chats)
    assert result.exit_code == 2
    assert "needs --yes" in result.stderr
    assert len(left(chats)) == 4


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
@pytest.mark.parametrize(("answer", "status", "count"), [("y\n", 0, 3), ("n\n", 1, 4)])
def test_a_purge_of_threads_asks_on_a_terminal(
    chats: Path, answer: str, status: int, count: int
) -> None:
    from tests.cli.terminal import run_in_terminal

    words = ("threads", "purge", "--older-than", "1d", "--owner", "ann", "--store", chats)
    question = "Delete the threads of 'ann' that were changed last before"
    output, code = run_in_terminal(*words, answers={question: answer}, insists=True)
    assert code == status, output
    assert len(left(chats)) == count


def test_runs_are_deleted_unless_they_are_active(agents: Path) -> None:
    refused = run("runs", "delete", "r2", "--store", agents)
    assert refused.exit_code == 2
    assert "needs --yes" in refused.stderr
    result = run("runs", "delete", "--yes", "r1", "r2", "--store", agents)
    assert result.exit_code == 1
    assert result.stdout == "deleted 1 run\n"
    assert result.stderr == (
        "treadle: not done, so not deleted: 'r1'; --active deletes such runs, too\n"
    )
    missing = run("runs", "delete", "--yes", "r2", "/", "--store", agents)
    assert (missing.exit_code, missing.stderr) == (1, "treadle: there is no run 'r2', '/'\n")
    deleted = run_json("runs", "delete", "--yes", "--active", "r1", "--store", agents)
    assert deleted == {"deleted": ["r1"], "missing": [], "active": []}
    assert run_json("runs", "list", "--store", agents)["items"] == []
