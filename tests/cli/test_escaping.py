"""Text from a store never commands a terminal, nor hides in it."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

import treadle
from tests.cli.support import in_store, run, spawn
from tests.cli.test_standard_output import LEAVES
from treadle.cli.terminal.escaping import HarmlessFormatter
from treadle.core.escaping import harmless_json, one_line, printable

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\u2066\u200e\u200b\ufeff\U000e0041\u2028\x7f"
DANGEROUS = {*HOSTILE} - {*"]0;title[2J31mgnp.exe"}


def test_control_characters_are_escaped() -> None:
    assert one_line("\x1b[31mred\x07") == "\\x1b[31mred\\x07"
    assert printable("two\nlines\x1b]0;title\x9c") == "two\nlines\\x1b]0;title\\x9c"


def test_characters_that_change_the_order_or_hide_are_escaped() -> None:
    assert one_line("a\u202eb\u2066c\u200ed") == "a\\u202eb\\u2066c\\u200ed"
    assert printable("a\u200bb\U000e0041c\ud800") == "a\\u200bb\\U000e0041c\\ud800"


def test_characters_of_languages_and_of_emoji_are_not_escaped() -> None:
    text = "می‌خواهم שלום 日本語 é 👩‍💻 ❤️"
    assert one_line(text) == text


def test_json_keeps_its_value() -> None:
    value = {HOSTILE: [HOSTILE, "plain é"]}
    data = harmless_json(json.dumps(value, ensure_ascii=False).encode())
    assert json.loads(data) == value
    assert not DANGEROUS & {*data.decode()}
    assert "é" in data.decode()


def test_a_record_of_the_log_is_one_line_and_its_traceback_is_indented() -> None:
    try:
        raise ValueError(f"{HOSTILE}\n2026-11-28 1 INFO all is well")
    except ValueError:
        record = logging.LogRecord(
            "x", logging.ERROR, "p", 1, "failed:\n%s", (HOSTILE,), sys.exc_info(), "f", "stack\x1b"
        )
    first, *others = HarmlessFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert first.startswith("ERROR failed: \\x1b]0;title")
    assert all(line.startswith("  ") for line in others)
    assert not DANGEROUS & {*"".join((first, *others))}


FAILING = f"""
async def handle(delivery):
    raise ValueError({HOSTILE!r})
"""


def test_the_log_of_the_worker_obeys_no_handler(tmp_path: Path) -> None:
    (tmp_path / "failing_of_test.py").write_text(FAILING, encoding="utf-8")
    run("send", "m", "1")
    child = spawn("work", "failing_of_test:handle", "--until-idle", "--max-attempts", 1)
    _, errors = child.communicate(timeout=60)
    assert "ValueError: \\x1b]0;title" in errors
    assert not DANGEROUS & {*errors}


SHOWING: dict[str, tuple[str, ...]] = {
    "doctor": ("doctor",),
    "documents delete": ("documents", "delete", "c\u202e", "no\u202e"),
    "documents list": ("documents", "list", "c\u202e"),
    "documents put": ("documents", "put", "c\u202e", "", ""),
    "documents show": ("documents", "show", "c\u202e", "k\u202e\x7f"),
    "erase": ("erase", "--yes", "--owner", HOSTILE),
    "export": ("export",),
    "mailboxes cancel": ("mailboxes", "cancel", HOSTILE),
    "mailboxes delete": ("mailboxes", "delete", "--yes", "m1\u202e"),
    "mailboxes interrupt": ("mailboxes", "interrupt", "m1\u202e"),
    "mailboxes pause": ("mailboxes", "pause", "m1\u202e", "--reason", "\u202e"),
    "mailboxes resume": ("mailboxes", "resume", "m1\u202e"),
    "mailboxes list": ("mailboxes", "list"),
    "mailboxes entries": ("mailboxes", "entries"),
    "mailboxes requeue": ("mailboxes", "requeue", HOSTILE),
    "mailboxes show": ("mailboxes", "show", "m1\u202e"),
    "mailboxes stats": ("mailboxes", "stats", "m1\u202e"),
    "mailboxes why": ("mailboxes", "why", "why\u202e"),
    "runs answer": ("runs", "answer", "r\u202e", "--text", "no"),
    "runs delete": ("runs", "delete", "--yes", "no\u202e"),
    "runs list": ("runs", "list"),
    "runs request": ("runs", "request", "helper", "t\u202e", "--run-id", "new\u202e"),
    "runs show": ("runs", "show", "r\u202e"),
    "runs usage": ("runs", "usage", "--by", "agent"),
    "send": ("send", "m1\u202e", json.dumps(HOSTILE)),
    "threads delete": ("threads", "delete", "--yes", "no\u202e"),
    "threads fork": ("threads", "fork", "t\u202e", "fork\u202e"),
    "threads list": ("threads", "list"),
    "threads show": ("threads", "show", "t\u202e"),
    "threads truncate": ("threads", "truncate", "--yes", "--drop", "1", "t\u202e"),
    "threads update": ("threads", "update", "--title", HOSTILE, "t\u202e"),
    "import": ("import", "lines.jsonl"),
    "copy": ("copy", "agents", "other\u202estore"),
    "backup": ("backup", "there\u202e.db", "--store", "sqlite:///store\u202e.db"),
}
SHOWING_NOTHING = {
    "certify": "no text of a store",
    "completion": "no store",
    "demo": "it writes conversations as `threads list` does",
    "documents purge": "a number",
    "mailboxes purge": "a number",
    "migrate": "the names of our migrations",
    "threads purge": "numbers",
    "threads follow": "it does not end by itself, and is tested below",
    "watch": "it does not end by itself, and is tested with what it shows",
    "serve": "its log is formatted as that of `work`",
    "work": "its log is tested above",
}


def test_every_command_is_tried() -> None:
    assert {*SHOWING, *SHOWING_NOTHING} == {*LEAVES}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A store whose texts and ids are hostile, as far as ids may be."""

    async def fill(store: treadle.Store) -> None:
        call = treadle.ToolCall(id=HOSTILE, name=HOSTILE, arguments={HOSTILE: HOSTILE})
        messages = (
            treadle.Message.user(HOSTILE),
            treadle.Message.assistant([{"type": "text", "text": HOSTILE}, HOSTILE], [call]),
            treadle.Message(role="tool", content=HOSTILE, extra={"name": HOSTILE}),
        )
        thread = treadle.Thread(
            id="t\u202e", resource_id=HOSTILE, messages=messages, state={HOSTILE: HOSTILE}
        )
        await store.threads.create(thread)
        extra: dict[str, Any] = {HOSTILE: HOSTILE}
        run = treadle.RunRecord(
            run_id="r\u202e", thread_id="t\u202e", agent_id=HOSTILE, extra=extra
        )
        await store.runs.upsert(run)
        await store.documents.put("c\u202e", "k\u202e\x7f", {HOSTILE: HOSTILE})
        await store.mailboxes.send("m1\u202e", {HOSTILE: HOSTILE}, sender_id=HOSTILE)
        [entry] = await store.mailboxes.claim(consumer=HOSTILE)
        await store.mailboxes.dead_letter(entry, error=HOSTILE)
        waiting = treadle.MailboxEntry(entry_id="why\u202e", mailbox_id="m2\u202e")
        await store.mailboxes.enqueue(waiting)
        await store.mailboxes.pause("m2\u202e", reason=HOSTILE)

    in_store(tmp_path / "agents", fill)
    in_store("sqlite:///store\u202e.db", fill)
    (tmp_path / "agents" / f"x\x1b{HOSTILE}.json").write_text("torn")
    bad = {"id": "ok", "messages": [{"role": HOSTILE, "content": ""}]}
    (tmp_path / "lines.jsonl").write_text(f"{json.dumps(bad)}\n{HOSTILE}\n")
    return tmp_path


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("words", SHOWING.values(), ids=SHOWING)
def test_no_command_writes_what_a_terminal_obeys_or_hides(words: tuple[str, ...]) -> None:
    json_too = [(*words, "--json")] if words[0] not in {"export", "copy", "backup"} else []
    for each in (words, *json_too):
        result = run(*each)
        assert result.output
        assert not DANGEROUS & {*result.stdout + result.stderr}


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_following_writes_nothing_that_a_terminal_obeys(form: tuple[str, ...]) -> None:
    said = treadle.Message.user(HOSTILE)
    in_store("agents", lambda store: store.threads.append("t\u202e", said))
    child = spawn("threads", "follow", "t\u202e", "--after", 0, *form)
    assert child.stdout is not None
    first = child.stdout.readline()
    in_store("agents", lambda store: store.threads.delete("t\u202e"))
    others, errors = child.communicate(timeout=60)
    assert not DANGEROUS & {*first + others.replace("\n", "") + errors}


def test_the_json_of_a_command_has_the_exact_text(hostile: Path) -> None:
    shown = json.loads(run("threads", "show", "t\u202e", "--json").stdout)
    assert shown["thread"]["messages"][0]["content"] == HOSTILE
    assert HOSTILE in shown["thread"]["state"]
