"""`treadle export`: threads become conversations that `treadle import` reads."""

import json
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.cli.support import SHIPPED, in_store, run, run_json
from treadle.core.limits import PAGE
from treadle.store.threads import Threads


def test_export_then_import_is_identical(store: Path, tmp_path: Path) -> None:
    async def add(opened: treadle.Store) -> None:
        native = treadle.Thread(
            id="native",
            resource_id="user-1",
            messages=(treadle.Message.user("hi"), treadle.Message.internal_system("quiet")),
            state={"n": [1, 2.5, None]},
        )
        await opened.threads.create(native)

    in_store(store, add)
    first = run("export", "--store", store).stdout_bytes
    copy = tmp_path / "copy"
    assert run("import", "-", "--store", copy, input=first).exit_code == 0
    assert run("export", "--store", copy).stdout_bytes == first
    assert run_json("import", "--store", store, input=first)["unchanged"] == 37

    async def load(opened: treadle.Store) -> treadle.Thread:
        head = await opened.threads.load("native")
        assert head is not None
        return head.thread

    one, other = in_store(store, load), in_store(copy, load)
    assert (one.messages, one.state, one.resource_id) == (
        other.messages,
        other.state,
        other.resource_id,
    )


@pytest.mark.parametrize("name", ["copy", "sqlite:///copy.db"])
def test_a_thread_comes_back_with_the_times_of_its_messages(name: str) -> None:
    async def add(opened: treadle.Store) -> None:
        await opened.threads.create(treadle.Thread(id="old"), now=1_000)
        for number, now in enumerate([2_000, 3_000, 3_500]):
            await opened.threads.append("old", treadle.Message.user(f"{number}"), now=now)
        await opened.threads.create(treadle.Thread(id="older"), now=900)

    async def look(opened: treadle.Store) -> object:
        listed = await opened.threads.list_summaries(by="updated_at", order="desc")
        heads = [
            (each.id, each.metadata.created_at, each.metadata.updated_at) for each in listed.items
        ]
        page = await opened.threads.list_messages("old")
        return heads[:1], [each.committed_at for each in page.messages]

    in_store("agents", add)
    exported = run("export", "old").stdout_bytes
    assert run("import", "-", "--store", name, input=exported).exit_code == 0
    was = [("old", 1_000, 3_500)], [2_000, 3_000, 3_500]
    assert in_store(name, look) == in_store("agents", look) == was
    assert run("export", "old", "--store", name).stdout_bytes == exported


def test_the_shipped_conversations_are_exported_unchanged(store: Path) -> None:
    exported = [json.loads(line) for line in run("export", "--store", store).stdout.splitlines()]
    for chat in exported:
        assert list(chat.pop("treadle")) == ["created_at", "message_times"]
    shipped = [json.loads(line) for line in SHIPPED.read_text().splitlines()]
    assert exported == sorted(shipped, key=lambda chat: chat["id"])


def test_only_named_threads_are_exported(store: Path) -> None:
    result = run("export", "lost-cello-bow", "bike-squeaky-brakes", "--store", store)
    ids = [json.loads(line)["id"] for line in result.stdout.splitlines()]
    assert ids == ["lost-cello-bow", "bike-squeaky-brakes"]


def test_a_missing_thread_is_an_error_and_the_rest_is_written(store: Path) -> None:
    result = run("export", "nope", "bike-squeaky-brakes", "--store", store)
    assert result.exit_code == 1
    assert "treadle: thread 'nope' does not exist" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_damaged_thread_does_not_affect_the_others(store: Path) -> None:
    (store / "bike-squeaky-brakes.json").write_text("{ torn")
    result = run("export", "--store", store)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 35
    assert "bike-squeaky-brakes" in result.stderr
    listing = run("threads", "list", "--json", "--store", store)
    assert len(json.loads(listing.stdout)["items"]) == 35
    assert "bike-squeaky-brakes" in listing.stderr


def test_a_damaged_thread_may_be_that_of_the_owner(tmp_path: Path) -> None:
    async def add(opened: treadle.Store) -> None:
        for name in ("a", "b"):
            await opened.threads.create(treadle.Thread(id=name, resource_id="u1"))

    in_store(tmp_path / "s", add)
    (tmp_path / "s" / "b.json").write_text("{ torn")
    result = run("export", "--owner", "u1", "--store", tmp_path / "s")
    assert len(result.stdout.splitlines()) == 1
    assert result.exit_code == 1
    assert "b.json" in result.stderr


@pytest.mark.parametrize("store_url", ["files", "sqlite", "postgres"], indirect=True)
def test_what_is_deleted_meanwhile_makes_no_other_thread_missing(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"t{number:03}" for number in range(PAGE + 5)]

    async def add(opened: treadle.Store) -> None:
        async with opened.batch() as step:
            for name in ids:
                step.threads.create(treadle.Thread(id=name))

    in_store(store_url, add)
    read = Threads.list_summaries
    pages = 0

    async def read_and_delete(self: Threads, **options: Any) -> Any:
        nonlocal pages
        page = await read(self, **options)
        pages += 1
        if pages == 1:  # as another process does
            async with treadle.open_store(store_url) as other:
                await other.threads.delete(ids[0])
                await other.threads.delete(ids[-1])
        return page

    monkeypatch.setattr(Threads, "list_summaries", read_and_delete)
    result = run("export", "--store", store_url)
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ids[1:-1]
    assert result.exit_code == 0, result.stderr


def test_an_exported_file_appears_when_it_is_complete(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert run("export", "--store", store, "--output", target).exit_code == 0
    assert len(target.read_text().splitlines()) == 36
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "store"]


def test_a_file_that_cannot_be_written_is_an_error_of_one_line(store: Path) -> None:
    result = run("export", "--store", store, "--output", "nowhere/out.jsonl")
    assert result.exit_code == 1
    assert (
        result.stderr == "treadle: nowhere/out.jsonl cannot be written: No such file or directory\n"
    )


def test_the_threads_of_one_owner_are_exported(tmp_path: Path) -> None:
    async def add(opened: treadle.Store) -> None:
        await opened.threads.create(treadle.Thread(id="a", resource_id="u1"))
        await opened.threads.create(treadle.Thread(id="b"))

    in_store(tmp_path / "s", add)
    result = run("export", "--owner", "u1", "--store", tmp_path / "s")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["a"]
    assert run("export", "a", "--owner", "u1", "--store", tmp_path / "s").exit_code == 2


DRONE = """\
{"messages": [{"role": "system", "content": "You fly."}, {"role": "user", "content": "Up!"}, \
{"role": "assistant", "tool_calls": [{"id": "call_id", "type": "function", "function": \
{"name": "takeoff_drone", "arguments": "{\\"altitude\\": 100}"}}]}], \
"parallel_tool_calls": false, "tools": [{"type": "function", "function": {"name": "f"}}]}
"""


def test_a_training_file_comes_back_with_its_absent_fields() -> None:
    """As OpenAI's guide to fine-tuning writes them: the assistant's message has no `content`."""
    chat = json.loads(DRONE)
    assert run("import", input=DRONE).exit_code == 0
    exported = json.loads(run("export").stdout)
    assert isinstance(exported.pop("treadle").pop("created_at"), int)
    assert exported.pop("id").startswith("chat-")
    assert exported == chat


@pytest.mark.parametrize("count", [450])
def test_more_threads_than_a_page_are_exported_and_listed(tmp_path: Path, count: int) -> None:
    async def add(opened: treadle.Store) -> None:
        async with opened.batch() as step:
            for number in range(count):
                step.threads.create(treadle.Thread(id=f"t{number:04}"))

    in_store(tmp_path / "s", add)
    assert len(run("export", "--store", tmp_path / "s").stdout.splitlines()) == count
    listed: list[str] = []
    after: tuple[str, ...] = ()
    while True:
        page = run_json("threads", "list", "--limit", 200, *after, "--store", tmp_path / "s")
        listed += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        after = ("--after", page["next_cursor"])
    assert listed == [f"t{number:04}" for number in range(count)]
