"""`treadle mailboxes`, as text and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.cli.support import in_store, run, run_json
from treadle.core.limits import LARGEST_TIME
from treadle.store.mailboxes import Mailboxes


def test_entries_are_listed_and_shown(agents: Path) -> None:
    listing = run_json("mailboxes", "entries", "--store", agents)
    assert sorted(entry["payload"]["n"] for entry in listing["items"]) == [1, 2, 3]
    dead = run_json("mailboxes", "entries", "--status", "dead_letter", "--store", agents)
    assert dead["items"][0]["last_error"] == "boom"
    assert len(run_json("mailboxes", "entries", "--mailbox", "m1", "--store", agents)["items"]) == 2
    first = next(entry for entry in listing["items"] if entry["payload"] == {"n": 1})
    entry_id = first["entry_id"]
    assert run_json("mailboxes", "show", entry_id, "--store", agents)["entry"]["payload"] == {
        "n": 1
    }
    text = run("mailboxes", "show", entry_id, "--store", agents).stdout
    assert "dedupe_key" in text
    assert not any(line.startswith(("turn", "closes_runs")) for line in text.splitlines())
    assert "turn" in first
    assert "last_turn" not in run("mailboxes", "show", "m1", "--store", agents).stdout
    mailbox = run_json("mailboxes", "show", "m1", "--store", agents)
    assert mailbox["mailbox"]["current_generation"] == 0
    assert mailbox["stats"]["queued"] == 2


def test_the_traceback_of_an_entry_is_shown(agents: Path) -> None:
    async def fail(store: treadle.Store) -> None:
        [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="m1")
        trace = 'Traceback:\n  File "\x1b[31m.py"\nKeyError'
        await store.mailboxes.dead_letter(entry, error="KeyError", traceback=trace)

    in_store(agents, fail)
    words = ("mailboxes", "entries", "--error", "KeyError", "--store", agents)
    [entry] = run_json(*words)["items"]
    text = run("mailboxes", "show", entry["entry_id"], "--store", agents).stdout
    assert "last_traceback" in text
    assert '  File "\\x1b[31m.py"\nKeyError\n' in text


def test_entries_of_one_origin_are_listed(agents: Path) -> None:
    async def send(store: treadle.Store) -> None:
        await store.mailboxes.send("m1", {"n": 4}, origin="internal")

    in_store(agents, send)
    items = run_json("mailboxes", "entries", "--origin", "internal", "--store", agents)["items"]
    assert [entry["payload"] for entry in items] == [{"n": 4}]


def test_the_listing_shows_when_entries_are_due_and_until_when_they_are_held(agents: Path) -> None:
    async def claim(store: treadle.Store) -> None:
        await store.mailboxes.claim(limit=1, consumer="worker-1")

    in_store(agents, claim)
    titles, *lines = run("mailboxes", "entries", "--store", agents).stdout.splitlines()
    rows = [dict(zip(titles.split("\t"), line.split("\t"), strict=True)) for line in lines]
    by_status = {row["status"]: row for row in rows}
    assert by_status["claimed"]["note"].startswith("worker-1 holds it until 20")
    assert by_status["claimed"]["due"] == by_status["dead_letter"]["due"] == ""
    assert by_status["queued"]["due"].startswith("20")


def test_entries_are_listed_newest_first_in_pages(agents: Path) -> None:
    words = ("mailboxes", "entries", "--status", "queued", "--status", "dead_letter", "--limit", 2)
    oldest = run_json("mailboxes", "entries", "--order", "asc", "--store", agents)["items"]
    first = run_json(*words, "--store", agents)
    rest = run_json(*words, "--after", first["next_cursor"], "--store", agents)
    assert [*first["items"], *rest["items"]] == oldest[::-1]
    assert rest["next_cursor"] is None
    assert f"--after {first['next_cursor']}" in run(*words, "--store", agents).stderr


def test_entries_are_found_by_their_errors_and_holders(agents: Path) -> None:
    async def claim(store: treadle.Store) -> None:
        await store.mailboxes.claim(limit=1, consumer="worker-1")

    in_store(agents, claim)
    for words, count in (
        (("--error", "oom"), 1),
        (("--error", "OOM"), 0),
        (("--claimed-by", "worker-1"), 1),
        (("--claimed-by", "worker-2"), 0),
        (("--by", "available_at"), 1),
    ):
        items = run_json("mailboxes", "entries", *words, "--store", agents)["items"]
        assert len(items) == count, words


def test_mailboxes_are_listed_with_what_is_in_them(agents: Path) -> None:
    async def claim(store: treadle.Store) -> None:
        await store.mailboxes.claim(limit=1, consumer="worker-1", mailbox_id="m1")

    in_store(agents, claim)
    first, second = run_json("mailboxes", "list", "--store", agents)["items"]
    assert (first["state"]["mailbox_id"], first["claimed_by"]) == ("m1", "worker-1")
    assert (first["counts"]["claimed"], second["counts"]["dead_letter"]) == (1, 1)
    titles, *lines = run("mailboxes", "list", "--store", agents).stdout.splitlines()
    rows = [dict(zip(titles.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert [(row["mailbox"], row["dead letters"]) for row in rows] == [("m1", "0"), ("m2", "1")]
    assert rows[0]["holder"] == "worker-1"
    newest = run_json("mailboxes", "list", "--by", "updated_at", "--limit", 1, "--store", agents)
    assert newest["next_cursor"] is not None


def test_a_page_has_at_most_200_as_in_the_api(tmp_path: Path) -> None:
    async def send(store: treadle.Store) -> None:
        async with store.batch() as step:
            for number in range(201):
                step.mailboxes.send("m", number)

    in_store(tmp_path / "s", send)
    page = run_json("mailboxes", "entries", "--limit", 300, "--store", tmp_path / "s")
    assert len(page["items"]) == 200
    assert page["next_cursor"] is not None


def test_entries_are_counted(agents: Path) -> None:
    assert run_json("mailboxes", "stats", "--store", agents)["queued"] == 2
    assert run_json("mailboxes", "stats", "m2", "--store", agents)["dead_letter"] == 1
    assert "queued\t2" in run("mailboxes", "stats", "--store", agents).stdout


def test_stats_show_what_waits_and_what_fails(agents: Path) -> None:
    async def work(store: treadle.Store) -> None:
        await store.mailboxes.send("later", 1, delay_ms=3_600_000)
        await store.mailboxes.send("held", 1)
        await store.mailboxes.claim(consumer="w", mailbox_id="held", lease_ms=0)
        await store.mailboxes.send("failed", 1)
        [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="failed")
        retry_at = treadle.system_clock() + 3_600_000
        await store.mailboxes.nack(entry, error="boom", retry_at=retry_at)

    in_store(agents, work)
    found = run_json("mailboxes", "stats", "--store", agents)
    assert (found["due"], found["scheduled"], found["retrying"], found["expired"]) == (2, 1, 1, 1)
    assert found["errors"] == [{"error": "boom", "count": 2}]
    assert found["oldest_due_at"] <= found["at"]
    lines = run("mailboxes", "stats", "--store", agents).stdout.splitlines()
    assert any(line.startswith("due\t2\t20") for line in lines)
    for name in ("scheduled for later", "waiting for a retry", "lease has expired"):
        assert f"{name}\t1\t" in lines
    assert lines[-2:] == ["entries\terror", "2\tboom"]
    assert "of these" not in run("mailboxes", "stats", "m2", "--store", agents).stdout


def test_stats_count_what_is_in_a_paused_mailbox_apart(agents: Path) -> None:
    run("mailboxes", "pause", "m1", "--store", agents)
    found = run_json("mailboxes", "stats", "m1", "--store", agents)
    assert (found["queued"], found["due"], found["paused"]) == (2, 0, 2)
    lines = run("mailboxes", "stats", "m1", "--store", agents).stdout.splitlines()
    assert "in a paused mailbox\t2\t" in lines
    assert not any(line.startswith("due") for line in lines)


def test_entries_are_listed_since_a_time(agents: Path) -> None:
    async def send(store: treadle.Store) -> None:
        await store.mailboxes.send("old", 1, now=treadle.system_clock() - 7_200_000)

    in_store(agents, send)
    for since, count in (("1h", 3), ("3h", 4), ("9999d", 4)):
        items = run_json("mailboxes", "entries", "--since", since, "--store", agents)["items"]
        assert len(items) == count
    assert run("mailboxes", "entries", "--since", "soon", "--store", agents).exit_code == 2


def test_a_mailbox_is_paused_and_resumed(agents: Path) -> None:
    result = run("mailboxes", "pause", "m1", "--reason", "the model is down", "--store", agents)
    assert result.stdout == "m1 is paused until it is resumed\n"
    shown = run_json("mailboxes", "show", "m1", "--store", agents)["mailbox"]
    assert shown["pause_reason"] == "the model is down"
    assert "paused_until" not in shown
    text = run("mailboxes", "pause", "m1", "--for", "2h", "--store", agents).stdout
    assert text.startswith("m1 is paused until 20")
    document = run_json("mailboxes", "pause", "m1", "--for", "1h", "--store", agents)
    assert document["paused_until"] - document["paused_at"] <= 3_600_000
    assert run("mailboxes", "resume", "m1", "--store", agents).stdout == "m1 is not paused\n"
    assert "paused_at" not in run_json("mailboxes", "resume", "m1", "--store", agents)
    assert run("mailboxes", "resume", "unknown", "--store", agents).exit_code == 1


def test_a_mailbox_is_interrupted(agents: Path) -> None:
    result = run("mailboxes", "interrupt", "m1", "--store", agents)
    assert result.stdout == "superseded 2 entries; m1 is at generation 1\n"
    document = run_json("mailboxes", "interrupt", "m1", "--store", agents)
    assert document["mailbox_state"]["current_generation"] == 2


def test_dead_letters_are_requeued(agents: Path) -> None:
    assert run_json("mailboxes", "requeue", "--all", "--store", agents)["entries"][0]["status"] == (
        "queued"
    )
    [entry] = run_json("mailboxes", "entries", "--mailbox", "m2", "--store", agents)["items"]
    again = run("mailboxes", "requeue", entry["entry_id"], "--store", agents)
    assert again.exit_code == 1
    assert "is queued; only a dead letter can be requeued" in again.stderr
    assert run("mailboxes", "requeue", "--store", agents).exit_code == 2
    words = ("mailboxes", "requeue", entry["entry_id"], "--error", "boom")
    assert run(*words, "--store", agents).exit_code == 2
    missing = run("mailboxes", "requeue", "nope", "--store", agents)
    assert missing.exit_code == 1
    assert "'nope' does not exist" in missing.stderr


async def send_dead_letters(store: treadle.Store) -> list[str]:
    ids = [f"dead-{number}" for number in range(3)]
    for name in ids:
        await store.mailboxes.send("m3", name, entry_id=name)
        [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="m3")
        await store.mailboxes.dead_letter(entry, error="boom")
    return ids


def test_an_entry_that_cannot_be_requeued_leaves_no_other_one_behind(agents: Path) -> None:
    first, second, third = in_store(agents, send_dead_letters)
    words = ("mailboxes", "requeue", "--store", agents)
    result = run(*words, first, "nope", "a/b", second)
    assert result.exit_code == 1
    assert result.stdout == "queued again: 2 entries\n"
    missing, invalid = result.stderr.splitlines()
    assert "'nope' does not exist" in missing
    assert "'a/b'" in invalid
    again = run(*words, first, third, "--json")
    assert again.exit_code == 1
    assert [each["entry_id"] for each in json.loads(again.stdout)["entries"]] == [third]
    assert f"treadle: entry {first} is queued" in again.stderr


def test_an_entry_that_cannot_be_cancelled_leaves_no_other_one_behind(agents: Path) -> None:
    ended, *_ = in_store(agents, send_dead_letters)
    items = run_json("mailboxes", "entries", "--mailbox", "m1", "--store", agents)["items"]
    first, second = (entry["entry_id"] for entry in items)
    result = run("mailboxes", "cancel", first, ended, "nope", second, "--store", agents)
    assert result.exit_code == 1
    assert result.stdout == "cancelled: 2 entries\n"
    assert "has already ended: it is dead_letter" in result.stderr
    assert "'nope' does not exist" in result.stderr


def test_a_dead_letter_that_somebody_else_requeues_is_no_error(
    agents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = in_store(agents, send_dead_letters)
    search = Mailboxes.search_entries

    async def search_and_change(self: Mailboxes, **options: Any) -> Any:
        page = await search(self, **options)
        async with treadle.open_store(str(agents)) as other:
            await other.mailboxes.requeue(first)
            entry = await other.mailboxes.claim_entry(first, consumer="w")
            assert entry is not None
            await other.mailboxes.ack(entry)
            await other.mailboxes.purge(LARGEST_TIME, mailbox_id="m3", statuses=["accepted"])
            await other.mailboxes.requeue(second)
        return page

    monkeypatch.setattr(Mailboxes, "search_entries", search_and_change)
    words = ("mailboxes", "requeue", "--all", "--mailbox", "m3", "--store", agents)
    assert [each["entry_id"] for each in run_json(*words)["entries"]] == ["dead-2"]


def test_dead_letters_are_requeued_by_the_text_of_their_error(agents: Path) -> None:
    async def fail(store: treadle.Store) -> None:
        for number in range(205):
            await store.mailboxes.send("m3", number)
            [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="m3")
            await store.mailboxes.dead_letter(entry, error=f"the model is overloaded ({number})")

    in_store(agents, fail)
    words = ("mailboxes", "requeue", "--all", "--store", agents)
    assert len(run_json(*words, "--error", "nothing")["entries"]) == 0
    queued = run_json(*words, "--error", "overloaded")["entries"]
    assert [entry["mailbox_id"] for entry in queued] == ["m3"] * 205
    left = run_json("mailboxes", "entries", "--status", "dead_letter", "--store", agents)["items"]
    assert [entry["last_error"] for entry in left] == ["boom"]


def test_paused_mailboxes_are_marked_in_the_listing(agents: Path) -> None:
    run("mailboxes", "pause", "m1", "--for", "1h", "--reason", "no model", "--store", agents)
    run("mailboxes", "pause", "m2", "--store", agents)
    titles, *lines = run("mailboxes", "list", "--store", agents).stdout.splitlines()
    rows = [dict(zip(titles.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert rows[0]["paused"].startswith("until 20")
    assert rows[0]["paused"].endswith(": no model")
    assert rows[1]["paused"] == "yes"
    run("mailboxes", "resume", "m2", "--store", agents)
    assert run("mailboxes", "list", "--store", agents).stdout.splitlines()[2].endswith("\t")


def test_entries_are_cancelled(agents: Path) -> None:
    items = run_json("mailboxes", "entries", "--store", agents)["items"]
    first = next(entry for entry in items if entry["status"] == "queued")
    dead = next(entry for entry in items if entry["status"] == "dead_letter")
    result = run("mailboxes", "cancel", first["entry_id"], "--store", agents)
    assert result.stdout == "cancelled: 1 entry\n"
    ended = run("mailboxes", "cancel", dead["entry_id"], "--store", agents)
    assert ended.exit_code == 1
    assert "has already ended: it is dead_letter" in ended.stderr
    assert run("mailboxes", "cancel", "--mailbox", "m1", "--store", agents).stdout == (
        "cancelled: 1 entry\n"
    )


def test_entries_that_have_ended_are_purged(agents: Path) -> None:
    assert run_json("mailboxes", "purge", "--older-than", "1h", "--store", agents)["purged"] == 0
    result = run("mailboxes", "purge", "--older-than", "0s", "--store", agents)
    assert result.stdout in ("purged 1 entry\n", "purged 0 entries\n")
    items = run_json("mailboxes", "entries", "--store", agents)["items"]
    [dead] = [entry for entry in items if entry["status"] == "dead_letter"]
    arguments = ("--older-than", "0s", "--mailbox", dead["mailbox_id"], "--status", "dead_letter")
    assert run_json("mailboxes", "purge", *arguments, "--store", agents)["purged"] == 1
    assert run("mailboxes", "purge", "--older-than", "7 weeks", "--store", agents).exit_code == 2


def test_a_mailbox_is_deleted_with_its_entries(agents: Path) -> None:
    assert run("mailboxes", "delete", "m1", "--store", agents).exit_code == 2  # it wants --yes
    before = run_json("mailboxes", "stats", "m1", "--store", agents)
    deleted = run_json("mailboxes", "delete", "--yes", "m1", "--store", agents)["deleted"]
    assert deleted == before["queued"] > 0
    missing = run("mailboxes", "delete", "--yes", "m1", "--store", agents)
    assert missing.exit_code == 1
    assert "mailbox 'm1' does not exist" in missing.stderr
