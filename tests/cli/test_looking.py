"""`weft threads`, `runs` and `mailboxes`: looking, for people and for programs."""

import json
from pathlib import Path

import pytest

import weft
from tests.cli.support import in_store, run, run_json


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A store with one thread, two runs, and entries in several states."""

    async def fill(store: weft.Store) -> None:
        call = weft.ToolCall(id="c", name="look", arguments={"a": 1})
        thread = weft.Thread(
            id="t1",
            resource_id="u1",
            messages=(
                weft.Message.user("hello [bold]there[/bold] \x1b[31m"),
                weft.Message.assistant("", [call]),
                weft.Message.internal_system("be quiet"),
            ),
            state={"n": 1},
        )
        await store.threads.create(thread)
        await store.runs.upsert(weft.RunRecord(run_id="r1", thread_id="t1", created_at=1))
        done = weft.RunRecord(run_id="r2", thread_id="t2", status="done", created_at=2)
        await store.runs.upsert(done)
        await store.mailboxes.send("m1", {"n": 1}, dedupe_key="k")
        await store.mailboxes.send("m1", {"n": 2})
        await store.mailboxes.send("m2", {"n": 3})
        [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="m2")
        await store.mailboxes.dead_letter(entry, error="boom")

    folder = tmp_path / "agents"
    in_store(folder, fill)
    return folder


def test_threads_are_listed(agents: Path) -> None:
    listing = run_json("threads", "list", "--store", agents)
    assert listing["total"] == 1
    item = listing["items"][0]
    assert (item["id"], item["message_count"], item["resource_id"]) == ("t1", 3, "u1")
    titles, row = run("threads", "list", "--store", agents).stdout.splitlines()
    assert titles.split("\t")[:3] == ["thread", "messages", "version"]
    assert row.split("\t")[:3] == ["t1", "3", "0"]
    assert run_json("threads", "list", "--resource", "u2", "--store", agents)["items"] == []


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


def test_threads_are_deleted(agents: Path) -> None:
    unasked = run("threads", "delete", "t1", "--store", agents)
    assert unasked.exit_code == 2
    assert "--yes" in unasked.stderr
    result = run("threads", "delete", "--yes", "t1", "nope", "--json", "--store", agents)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"deleted": ["t1"], "missing": ["nope"]}
    assert "there is no thread 'nope'" in result.stderr
    assert run_json("threads", "list", "--store", agents)["total"] == 0


def test_runs_are_listed_and_shown(agents: Path) -> None:
    listing = run_json("runs", "list", "--store", agents)
    assert [run["run_id"] for run in listing["items"]] == ["r1", "r2"]
    done = run_json("runs", "list", "--status", "done", "--store", agents)
    assert [run["run_id"] for run in done["items"]] == ["r2"]
    assert run_json("runs", "list", "--thread", "t1", "--store", agents)["total"] == 1
    assert run("runs", "list", "--store", agents).stdout.splitlines()[1].startswith("r1\tt1\t")
    assert run_json("runs", "show", "r2", "--store", agents)["status"] == "done"
    assert "r2" in run("runs", "show", "r2", "--store", agents).stdout


def test_entries_are_listed_and_shown(agents: Path) -> None:
    listing = run_json("mailboxes", "list", "--store", agents)
    assert sorted(entry["payload"]["n"] for entry in listing["items"]) == [1, 2, 3]
    dead = run_json("mailboxes", "list", "--status", "dead_letter", "--store", agents)
    assert dead["items"][0]["last_error"] == "boom"
    assert run_json("mailboxes", "list", "--mailbox", "m1", "--store", agents)["total"] == 2
    first = next(entry for entry in listing["items"] if entry["payload"] == {"n": 1})
    entry_id = first["entry_id"]
    assert run_json("mailboxes", "show", entry_id, "--store", agents)["entry"]["payload"] == {
        "n": 1
    }
    text = run("mailboxes", "show", entry_id, "--store", agents).stdout
    assert "dedupe_key" in text
    mailbox = run_json("mailboxes", "show", "m1", "--store", agents)
    assert mailbox["mailbox"]["current_generation"] == 0
    assert mailbox["stats"]["queued"] == 2


def test_a_page_that_is_not_the_last_says_so(agents: Path) -> None:
    result = run("mailboxes", "list", "--limit", 2, "--store", agents)
    assert result.stderr == "2 of 3 entries; --offset 2 shows the next, --limit more\n"
    result = run("mailboxes", "list", "--limit", 2, "--offset", 2, "--store", agents)
    assert result.stderr == ""


def test_entries_are_counted(agents: Path) -> None:
    assert run_json("mailboxes", "stats", "--store", agents)["queued"] == 2
    assert run_json("mailboxes", "stats", "m2", "--store", agents)["dead_letter"] == 1
    assert "queued\t2" in run("mailboxes", "stats", "--store", agents).stdout


def test_a_mailbox_is_interrupted(agents: Path) -> None:
    result = run("mailboxes", "interrupt", "m1", "--store", agents)
    assert result.stdout == "superseded 2 entries; m1 is at generation 1\n"
    document = run_json("mailboxes", "interrupt", "m1", "--store", agents)
    assert document["mailbox_state"]["current_generation"] == 2


def test_dead_letters_are_requeued(agents: Path) -> None:
    assert run_json("mailboxes", "requeue", "--all", "--store", agents)["entries"][0]["status"] == (
        "queued"
    )
    [entry] = run_json("mailboxes", "list", "--mailbox", "m2", "--store", agents)["items"]
    again = run("mailboxes", "requeue", entry["entry_id"], "--store", agents)
    assert again.exit_code == 1
    assert "is queued; only a dead letter can be requeued" in again.stderr
    assert run("mailboxes", "requeue", "--store", agents).exit_code == 2
    missing = run("mailboxes", "requeue", "nope", "--store", agents)
    assert missing.exit_code == 1
    assert "'nope' does not exist" in missing.stderr


def test_entries_are_cancelled(agents: Path) -> None:
    items = run_json("mailboxes", "list", "--store", agents)["items"]
    first = next(entry for entry in items if entry["status"] == "queued")
    dead = next(entry for entry in items if entry["status"] == "dead_letter")
    result = run("mailboxes", "cancel", first["entry_id"], "--store", agents)
    assert result.stdout == "cancelled: 1 entry\n"
    ended = run("mailboxes", "cancel", dead["entry_id"], "--store", agents)
    assert ended.exit_code == 1
    assert "has ended already: it is dead_letter" in ended.stderr
    assert run("mailboxes", "cancel", "--mailbox", "m1", "--store", agents).stdout == (
        "cancelled: 1 entry\n"
    )


def test_what_has_ended_is_purged(agents: Path) -> None:
    assert run_json("mailboxes", "purge", "--older-than", "1h", "--store", agents)["purged"] == 0
    result = run("mailboxes", "purge", "--older-than", "0s", "--store", agents)
    assert result.stdout in ("purged 1 entry\n", "purged 0 entries\n")
    assert run("mailboxes", "purge", "--older-than", "7 weeks", "--store", agents).exit_code == 2


def test_what_is_not_there_is_an_error_of_one_line(agents: Path) -> None:
    for words in (("threads", "show"), ("runs", "show"), ("mailboxes", "show")):
        result = run(*words, "nope", "--store", agents)
        assert result.exit_code == 1
        assert result.stderr.startswith("weft: ")
        assert "does not exist" in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""


def test_an_id_that_can_be_none_is_an_error_of_one_line(agents: Path) -> None:
    result = run("threads", "show", "../etc", "--store", agents)
    assert result.exit_code == 1
    assert result.stderr.startswith("weft: invalid thread id '../etc'")
