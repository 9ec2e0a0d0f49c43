"""`treadle import`: conversations become threads, each once."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.cli.support import SHIPPED, in_store, line_of, read_until, run, run_json, spawn
from tests.integrations.chat_exports.support import chatgpt, said, zipped
from tests.integrations.chat_exports.support import node as chatgpt_node
from treadle.cli.commands.import_.importing import load_lines
from treadle.cli.json_lines import Good, read_lines
from treadle.core.threads import ThreadHead
from treadle.integrations.openai_chat import read_conversation


def thread_of(line: str) -> treadle.Thread:
    return read_conversation(json.loads(line))


async def load_all(store: treadle.Store) -> dict[str, ThreadHead]:
    page = await store.threads.list(limit=200)
    heads = [await store.threads.load(thread_id) for thread_id in page.items]
    return {head.thread.id: head for head in heads if head is not None}


def test_conversations_become_threads(tmp_path: Path) -> None:
    result = run("import", SHIPPED, "--store", tmp_path / "s")
    assert result.exit_code == 0
    assert result.stdout.startswith("36 threads created, 0 extended, 0 unchanged, 639 messages")
    heads = in_store(tmp_path / "s", load_all)
    for line in SHIPPED.read_text().splitlines():
        wanted = thread_of(line)
        head = heads[wanted.id]
        assert head.version == 0
        assert head.thread.messages == wanted.messages
        assert head.thread.metadata.extra == wanted.metadata.extra


def test_importing_again_changes_nothing(store: Path) -> None:
    def documents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in store.glob("*.json")}

    before = documents()
    again = run_json("import", SHIPPED, "--store", store)
    assert again == {
        "created": 0,
        "extended": 0,
        "unchanged": 36,
        "failed": 0,
        "messages": 0,
        "errors": [],
    }
    assert documents() == before


def test_standard_input_is_imported() -> None:
    assert run_json("import", input=line_of("a", "hi"))["created"] == 1
    assert run_json("import", "-", input=line_of("b", "hi") + "\n")["created"] == 1
    assert len(run_json("threads", "list")["items"]) == 2


def test_a_bad_line_is_reported_and_the_others_are_imported() -> None:
    lines = "\n".join((line_of("a", "hi"), "nonsense", "", '{"x": NaN}', line_of("b", "ho")))
    result = run("import", "--json", input=lines)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "line 2: it is not JSON: Expecting value (column 1)",
        "line 4: JSON has no NaN",
        "treadle: ./agents is a new store",
        "treadle: 2 lines could not be imported, all others were; correct and import again",
    ]
    summary = json.loads(result.stdout)
    assert (summary["created"], summary["failed"]) == (2, 2)
    assert [error["line"] for error in summary["errors"]] == [2, 4]
    assert len(run_json("threads", "list")["items"]) == 2


def test_new_messages_of_a_stored_conversation_are_added() -> None:
    run("import", input=line_of("a", "one", "two"))
    summary = run_json("import", input=line_of("a", "one", "two", "three", "four"))
    assert (summary["extended"], summary["messages"]) == (1, 2)
    assert run_json("import", input=line_of("a", "one"))["unchanged"] == 1
    head = in_store("agents", lambda store: store.threads.load("a"))
    assert head is not None
    assert [message.content for message in head.thread.messages] == ["one", "two", "three", "four"]
    assert head.version == 1


def test_messages_are_imported_with_their_times() -> None:
    def timed(count: int) -> str:
        chat = json.loads(line_of("a", *"12345"[:count]))
        times = [1_000, 2_000, 2_000, 3_000][:count]
        return json.dumps(chat | {"treadle": {"message_times": times}})

    assert run_json("import", input=timed(2))["created"] == 1
    assert run_json("import", input=timed(2))["unchanged"] == 1
    summary = run_json("import", input=timed(4))
    assert (summary["extended"], summary["messages"]) == (1, 2)
    head = in_store("agents", lambda store: store.threads.load("a"))
    assert head is not None
    assert head.message_times == (1_000, 2_000, 2_000, 3_000)
    assert (head.thread.metadata.created_at, head.thread.metadata.updated_at) == (1_000, 3_000)
    wrong = run(
        "import", input=json.dumps({"id": "b", "messages": [], "treadle": {"message_times": [1]}})
    )
    assert "line 1: treadle.message_times: it has 1 times" in wrong.stderr


def test_a_conversation_that_contradicts_the_stored_one_is_refused() -> None:
    run("import", input=line_of("a", "one", "two"))
    lines = (line_of("a", "one", "other", "three"), line_of("b", "x"))
    result = run("import", input="\n".join(lines))
    assert result.exit_code == 1
    assert (
        "line 1: invalid value at messages[1]: the stored thread 'a' has another" in result.stderr
    )
    head = in_store("agents", lambda store: store.threads.load("a"))
    assert head is not None
    assert head.version == 0
    assert len(head.thread.messages) == 2
    assert len(run_json("threads", "list")["items"]) == 2


def test_a_line_that_repeats_a_failed_one_fails_as_that_did() -> None:
    run("import", input=line_of("a", "one"))
    refused, good = line_of("a", "other"), line_of("b", "x")
    many = (line_of(f"c{number}", "x") for number in range(70))  # more than are committed together
    result = run(
        "import", "--json", input="\n".join((refused, good, refused, *many, refused, good))
    )
    summary = json.loads(result.stdout)
    assert [error["line"] for error in summary["errors"]] == [1, 3, 74]
    assert len({error["reason"] for error in summary["errors"]}) == 1
    assert (summary["created"], summary["unchanged"], summary["failed"]) == (71, 1, 3)


def test_a_thread_that_changes_during_the_import_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process creates a thread between the plan of the import and its commit."""

    async def race(store: treadle.Store) -> list[Any]:
        lines = [line_of(name, "one", "two").encode() for name in ("a", "b", "c")]
        load = store.threads.load
        raced = False

        async def load_and_race(thread_id: str) -> ThreadHead | None:
            nonlocal raced
            found = await load(thread_id)
            if thread_id == "b" and not raced:
                raced = True
                await store.threads.create(thread_of(line_of("b", "one")))
            return found

        monkeypatch.setattr(store.threads, "load", load_and_race)
        return [outcome async for outcome in load_lines(store, read_lines(lines))]

    outcomes = in_store("memory:", race)
    assert [outcome.kind for outcome in outcomes] == ["created", "extended", "created"]


def test_many_lines_keep_their_order(tmp_path: Path) -> None:
    lines = [line_of(f"t{number:04}", "x") if number % 7 else "bad" for number in range(1, 400)]
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(lines))
    result = run("import", file, "--json")
    reported = [int(line[5:].split(":")[0]) for line in result.stderr.splitlines()[:-2]]
    assert reported == [number for number in range(1, 400) if not number % 7]
    assert json.loads(result.stdout)["created"] == 399 - len(reported)


def test_the_lines_of_a_pipe_are_imported(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "treadle", "import", "-", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
    )
    output, _ = child.communicate("\n".join([line_of("a", "x"), line_of("b", "y")]).encode())
    assert child.returncode == 0
    assert json.loads(output)["created"] == 2


def test_ctrl_c_ends_the_import_while_the_pipe_is_silent(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "treadle", "import", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    )
    assert child.stdin is not None
    assert child.stderr is not None
    for number in range(100):  # more than fit into one commit
        child.stdin.write(line_of(f"t{number:03}", "x") + "\n")
    child.stdin.write("nonsense\n")
    child.stdin.flush()
    read_until(child, "line 101: it is not JSON")  # reported in order: all lines before are stored
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    assert child.stderr.read().strip() == ""
    child.stdin.close()
    child.stderr.close()
    assert len(run_json("threads", "list", "--limit", 200)["items"]) == 100


def test_a_missing_file_is_wrong_usage() -> None:
    result = run("import", "no-such-file.jsonl")
    assert result.exit_code == 2
    assert "no-such-file.jsonl" in result.stderr


def test_a_good_line_knows_its_number_and_size() -> None:
    data = line_of("a", "x").encode()
    [line] = read_lines(io.BytesIO(b"\n\n" + data))
    assert isinstance(line, Good)
    assert (line.number, line.size) == (3, len(data))


def test_two_concurrent_imports_do_not_disturb_each_other(tmp_path: Path) -> None:
    children = [spawn("import", SHIPPED, "--json", cwd=tmp_path) for _ in range(2)]
    summaries = [json.loads(child.communicate()[0]) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum(summary["created"] for summary in summaries) == 36
    assert sum(summary["unchanged"] for summary in summaries) == 36


def test_a_framework_that_is_missing_is_named_with_its_extra(tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/x.db"
    result = run("import", "--store", tmp_path / "store", "--from", "openai-agents", source)
    assert result.exit_code == 1
    assert "pip install '.[openai-agents]'" in result.stderr
    assert not (tmp_path / "store").exists()


def test_a_framework_that_nobody_knows_is_wrong_usage(tmp_path: Path) -> None:
    result = run("import", "--store", tmp_path / "store", "--from", "other", "sqlite:///x.db")
    assert result.exit_code == 2
    assert "'chatgpt', 'claude', 'google-adk', 'langgraph', 'openai-agents'" in result.stderr


def test_the_export_of_a_chat_program_is_imported_and_what_is_left_out_is_counted(
    tmp_path: Path,
) -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1"}
    question = chatgpt_node("q", "root", "user", said(picture, "what is it?"))
    answers = [chatgpt_node(name, "q", "assistant", said(name)) for name in ("a cat", "a dog")]
    good = chatgpt(question, *answers)
    export = zipped(tmp_path / "export.zip", {"conversations.json": [good, {"id": "broken"}]})
    result = run("import", "--from", "chatgpt", export)
    assert result.exit_code == 1
    assert result.stdout == (
        "1 conversation created, 0 extended, 0 unchanged, 4 items added; 1 further branch as "
        "threads; 1 file not imported\n"
    )
    assert result.stderr.splitlines()[0] == (
        "conversations.json[1] broken: invalid value at mapping: it must be an object, not null"
    )
    again = json.loads(run("import", "--json", "--from", "chatgpt", export).stdout)
    errors = again.pop("errors")
    assert [error["name"] for error in errors] == ["conversations.json[1] broken"]
    assert again == {
        "created": 0,
        "extended": 0,
        "unchanged": 1,
        "failed": 1,
        "items": 0,
        "branches": 1,
        "files": 1,
    }
    assert len(run_json("threads", "list")["items"]) == 2


def test_an_export_that_is_not_there_is_named() -> None:
    result = run("import", "--from", "claude", "missing.zip")
    assert result.exit_code == 1
    assert "there is no file 'missing.zip'" in result.stderr


def test_imported_conversations_have_the_owner_that_is_given(tmp_path: Path) -> None:
    lines = [
        {"id": "stored", "messages": [{"role": "user", "content": "hi"}]},
        {"id": "of-ben", "messages": [], "treadle": {"resource_id": "ben"}},
    ]
    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run("import", source, "--store", tmp_path / "s").exit_code == 0
    lines.append({"id": "new", "messages": [{"role": "user", "content": "hi"}]})
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run("import", source, "--store", tmp_path / "s", "--owner", "anna")
    assert result.exit_code == 1
    assert result.stdout.startswith("1 thread created, 0 extended, 1 unchanged")
    assert "line 2: invalid value at resource_id: the thread 'of-ben' has another owner" in (
        result.stderr
    )
    heads = in_store(tmp_path / "s", load_all)
    assert {name: head.thread.resource_id for name, head in heads.items()} == {
        "stored": "anna",
        "of-ben": "ben",
        "new": "anna",
    }


def test_an_export_has_the_owner_that_is_given(tmp_path: Path) -> None:
    question = chatgpt_node("q", "root", "user", said("hi"))
    answers = [chatgpt_node(name, "q", "assistant", said(name)) for name in ("one", "other")]
    export = zipped(tmp_path / "export.zip", {"conversations.json": [chatgpt(question, *answers)]})
    store = ("--store", tmp_path / "s")
    assert run("import", "--from", "chatgpt", export, *store).exit_code == 0
    for _ in range(2):
        again = run_json("import", "--from", "chatgpt", export, *store, "--owner", "anna")
        assert (again["unchanged"], again["failed"]) == (1, 0)
        heads = in_store(tmp_path / "s", load_all)
        assert [head.thread.resource_id for head in heads.values()] == ["anna", "anna"]
    other = run("import", "--from", "chatgpt", export, *store, "--owner", "ben")
    assert other.exit_code == 1
    assert "has another owner" in other.stderr


@pytest.mark.parametrize("program", ["google-adk", "langgraph"])
def test_what_cannot_have_an_owner_refuses_one(program: str) -> None:
    result = run("import", "--from", program, "sqlite:///x.db", "--owner", "anna")
    assert result.exit_code == 1
    assert "leave out --owner" in result.stderr
