"""`treadle watch`: what happens, as it happens, until Ctrl-C."""

import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from tests.cli.support import in_store, read_until, run, spawn
from treadle import Message, RunRecord, Store, Thread


@pytest.fixture(params=["files", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / "agents"
    url = str(path) if request.param == "files" else f"sqlite:///{path}.db"

    async def fill(store: Store) -> None:
        await store.threads.create(Thread(id="t"))
        await store.mailboxes.send("m", "an old entry")

    in_store(url, fill)
    time.sleep(0.01)
    return url


@pytest.fixture
def watch(url: str) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    children: list[subprocess.Popen[str]] = []

    def start(*words: str) -> "subprocess.Popen[str]":
        child = spawn("watch", "--store", url, *words)
        children.append(child)
        return child

    yield start
    for child in children:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
        assert child.returncode == 130


def until_shown(
    child: "subprocess.Popen[str]", url: str, act: Callable[[Store], Awaitable[object]], text: str
) -> str:
    """Do it again and again until the child, which may not listen yet, shows a text."""
    with ThreadPoolExecutor(1) as reader:
        shown = reader.submit(read_until, child, text, "stdout")
        while not shown.done():
            in_store(url, act)
            wait([shown], timeout=0.3)
        return shown.result()


async def fail(store: Store) -> None:
    for _ in range(2):
        [entry] = await store.mailboxes.claim(consumer="worker-1", mailbox_id="m")
        await store.mailboxes.nack(entry, error="boom \x1b[31m", retry_at=0)


def test_it_shows_entries_runs_and_what_is_said(
    url: str, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    child = watch()
    line = until_shown(child, url, lambda store: store.mailboxes.send("m", "a new one"), "a new")
    assert line.startswith("20")
    assert "mailbox m: entry " in line
    assert line.endswith(' is queued: "a new one"\n')
    in_store(url, lambda store: store.mailboxes.claim(consumer="worker-1", mailbox_id="m"))
    assert read_until(child, "claimed", "stdout").endswith(" is claimed by worker-1, attempt 1\n")
    in_store(url, lambda store: store.threads.append("t", Message.user("hello\nthere")))
    assert read_until(child, "thread t", "stdout").endswith(
        "thread t, version 1: user: hello there\n"
    )
    in_store(url, lambda store: store.runs.upsert(RunRecord(run_id="r", thread_id="t")))
    read_until(child, "thread t: run r is running", "stdout")
    in_store(url, lambda store: store.mailboxes.interrupt("m"))
    read_until(child, "is superseded", "stdout")


def test_failures_are_shown_with_their_errors_and_harm_no_terminal(
    url: str, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    child = watch()
    line = until_shown(child, url, fail, "boom")
    assert "is queued again after attempt " in line
    assert line.endswith(", due in 0 s: boom \\x1b[31m\n")


def test_json_has_a_line_for_each_and_filters_hold(
    url: str, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    child = watch("--mailbox", "mine", "--json")

    async def send(store: Store) -> None:
        await store.mailboxes.send("other", 1)
        await store.threads.append("t", Message.user("nobody's"))
        await store.mailboxes.send("mine", {"n": 1})

    shown = json.loads(until_shown(child, url, send, "{"))
    assert list(shown) == ["entry"]
    assert (shown["entry"]["mailbox_id"], shown["entry"]["payload"]) == ("mine", {"n": 1})
    of_thread = watch("--thread", "t", "--json")
    shown = json.loads(until_shown(of_thread, url, send, "{"))
    assert shown["thread"] == "t"
    assert shown["delta"]["changes"]["messages"][0]["content"] == "nobody's"


def test_json_has_no_claim_tokens(url: str, watch: Callable[..., "subprocess.Popen[str]"]) -> None:
    child = watch("--json")
    until_shown(child, url, lambda store: store.mailboxes.send("other", "ready"), "ready")
    in_store(url, lambda store: store.mailboxes.claim(consumer="w", mailbox_id="m"))
    shown = json.loads(read_until(child, '"claimed"', "stdout"))
    assert (shown["entry"]["status"], shown["entry"]["claimed_by"]) == ("claimed", "w")
    assert "claim_token" not in shown["entry"]


def test_all_of_a_burst_is_shown(url: str, watch: Callable[..., "subprocess.Popen[str]"]) -> None:
    async def create(store: Store) -> None:
        await store.threads.create(Thread(id="long"))
        for _ in range(3):
            await store.threads.append("long", Message.user("before"))

    async def act(store: Store) -> None:
        async with store.batch() as step:
            for number in range(250):
                step.mailboxes.send("burst", number)
            for number in range(5):
                step.threads.append("long", Message.user(f"said {number}"))

    in_store(url, create)
    time.sleep(0.01)
    child = watch("--json")
    until_shown(child, url, lambda store: store.mailboxes.send("m", "ready"), "ready")
    in_store(url, act)
    assert child.stdout is not None
    numbers: set[int] = set()
    texts: list[str] = []
    while len(numbers) < 250 or len(texts) < 5:
        shown = json.loads(child.stdout.readline())
        if shown.get("entry", {}).get("mailbox_id") == "burst":
            numbers.add(shown["entry"]["payload"])
        if shown.get("thread") == "long":
            texts += [each["content"] for each in shown["delta"]["changes"]["messages"]]
    assert texts == [f"said {number}" for number in range(5)]


def test_it_shows_pauses_interrupts_and_deletions_of_mailboxes(
    url: str, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    in_store(url, lambda store: store.mailboxes.pause("m", reason="asked"))
    child = watch()
    until_shown(child, url, lambda store: store.mailboxes.send("m", "ready"), "ready")
    in_store(url, lambda store: store.mailboxes.resume("m"))
    assert read_until(child, "resumed", "stdout").endswith("  mailbox m was resumed\n")
    in_store(url, lambda store: store.mailboxes.pause("m", reason="which one?"))
    line = read_until(child, "paused", "stdout")
    assert line.endswith("  mailbox m is paused until it is resumed: which one?\n")
    in_store(url, lambda store: store.mailboxes.pause("m", until=4_102_444_800_000))
    assert "  mailbox m is paused until 2" in read_until(child, "paused", "stdout")
    in_store(url, lambda store: store.mailboxes.interrupt("m"))
    line = read_until(child, "interrupted", "stdout")
    assert line.endswith("  mailbox m was interrupted, and is at generation 1\n")
    in_store(url, lambda store: store.mailboxes.delete("m"))
    assert read_until(child, "deleted", "stdout").endswith("  mailbox m was deleted\n")


def test_mailboxes_are_lines_of_json_too(
    url: str, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    child = watch("--json", "--mailbox", "m")
    until_shown(child, url, lambda store: store.mailboxes.send("m", "ready"), "ready")
    in_store(url, lambda store: store.mailboxes.pause("m", reason="which one?"))
    shown = json.loads(read_until(child, "pause_reason", "stdout"))
    assert shown["mailbox"]["mailbox_id"] == "m"
    assert shown["mailbox"]["pause_reason"] == "which one?"
    in_store(url, lambda store: store.mailboxes.delete("m"))
    shown = json.loads(read_until(child, "deleted", "stdout"))
    assert shown == {"mailbox": "m", "deleted": True}


def test_a_thread_that_does_not_exist_was_not_deleted(
    url: str, watch: Callable[..., "subprocess.Popen[str]"]
) -> None:
    child = watch("--thread", "new", "--mailbox", "m")
    line = until_shown(child, url, lambda store: store.mailboxes.send("m", "a new one"), "")
    assert "a new one" in line
    in_store(url, lambda store: store.threads.create(Thread(id="new")))
    in_store(url, lambda store: store.threads.append("new", Message.user("hello")))
    assert "version 1: user: hello" in read_until(child, "thread new", "stdout")
    in_store(url, lambda store: store.threads.delete("new"))
    assert read_until(child, "thread new", "stdout").endswith("thread new was deleted\n")


def test_a_store_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    result = run("watch", "--store", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "there is no store at" in result.stderr
