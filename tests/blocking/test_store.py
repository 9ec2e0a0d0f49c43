"""The blocking store does what the asynchronous one does, from any thread."""

import asyncio
import contextvars
import errno
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import treadle
from tests.marks import every_backend
from treadle import (
    AlreadyExists,
    Document,
    InvalidId,
    Message,
    NotFound,
    RunConflict,
    RunRecord,
    RunRequest,
    StoreClosed,
    Thread,
    ThreadDelta,
    VersionConflict,
)
from treadle.blocking import Store, open_store
from treadle.queries import LoadMailbox, LoadThreadSummary


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open, empty store."""
    with open_store(store_url) as opened:
        yield opened


def text(message: str) -> Message:
    return Message(role="user", content=message)


@every_backend
def test_all_nouns_are_written_and_read(store: Store) -> None:
    assert store.threads.create(Thread(id="t")).version == 0
    assert store.threads.append("t", text("one"), text("two")).version == 1
    head = store.threads.load("t")
    assert head is not None
    assert [message.content for message in head.thread.messages] == ["one", "two"]
    store.runs.upsert(RunRecord(run_id="r", thread_id="t", status="running"))
    assert store.runs.count().running == 1
    sent = store.mailboxes.send("m", {"a": 1})
    (entry,) = store.mailboxes.claim(consumer="me")
    assert (entry.entry_id, entry.payload) == (sent.entry.entry_id, {"a": 1})
    store.mailboxes.ack(entry)
    store.documents.put("c", ("k", "l"), [1])
    (document,) = store.documents.list("c").items
    assert isinstance(document, Document)
    assert (document.key, document.value) == (("k", "l"), [1])
    summary, state = store.read(LoadThreadSummary(thread_id="t"), LoadMailbox(mailbox_id="m"))
    assert summary is not None
    assert summary.version == 1
    assert state is not None
    assert store.capabilities.durable == (not repr(store).startswith("<blocking Store at memory"))


@every_backend
def test_a_run_is_asked_for_and_answered(store: Store) -> None:
    wanted = RunRequest(agent_id="a", thread_id="t", run_id="r")
    assert not store.runs.request(wanted, text("hi")).was_known
    assert store.runs.request(wanted, text("hi")).was_known
    store.runs.upsert(RunRecord(run_id="w", thread_id="t", status="waiting"))
    answered = store.runs.answer("w", {"approved": True}, next_run_id="n")
    assert (answered.run.status, answered.run.termination_code) == ("done", "answered")
    with pytest.raises(RunConflict):
        store.runs.answer("w")
    entry = store.mailboxes.load_entry("n")
    assert entry is not None
    assert [each.payload for each in RunRequest.of(entry).resume] == [{"approved": True}]


@every_backend
def test_errors_are_those_of_the_store(store: Store) -> None:
    store.threads.create(Thread(id="t"))
    with pytest.raises(AlreadyExists):
        store.threads.create(Thread(id="t"))
    with pytest.raises(VersionConflict):
        store.threads.append("t", text("x"), expected=7)
    with pytest.raises(NotFound):
        store.threads.list_messages("none")
    with pytest.raises(InvalidId):
        store.threads.load("\n")


@every_backend
def test_a_batch_commits_when_its_block_ends(store: Store) -> None:
    with store.batch() as step:
        created = step.threads.create(Thread(id="t"))
        sent = step.mailboxes.send("m", 1)
        assert store.threads.summary("t") is None
    assert created.result.version == 0
    assert sent.result.entry.mailbox_id == "m"
    assert step.receipt is not None
    with pytest.raises(AlreadyExists), store.batch() as step:
        step.mailboxes.send("m", 2)
        step.threads.create(Thread(id="t"))
    with pytest.raises(ZeroDivisionError), store.batch() as step:
        step.mailboxes.send("m", 3)
        _ = 1 / 0
    assert store.mailboxes.count_entries("m").queued == 1


@every_backend
def test_threads_of_the_process_lose_nothing(store: Store) -> None:
    store.threads.create(Thread(id="t"))

    def append(number: int) -> None:
        while True:
            head = store.threads.summary("t")
            assert head is not None
            try:
                store.threads.append("t", text(str(number)), expected=head.version)
            except VersionConflict:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    head = store.threads.load("t")
    assert head is not None
    found = sorted(int(str(message.content)) for message in head.thread.messages)
    assert found == list(range(40))


@every_backend
def test_a_thread_is_followed_while_another_one_writes(store: Store) -> None:
    store.threads.create(Thread(id="t"))
    items = store.threads.follow("t", 0)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, items)
        store.threads.append("t", text("one"))
        item = first.result(30)
        assert isinstance(item, ThreadDelta)
        assert item.version == 1
        store.threads.delete("t")
        assert type(next(items)) is treadle.ThreadDeleted
        assert list(items) == []


@every_backend
def test_a_thread_is_followed_with_its_live_values(store: Store) -> None:
    store.threads.create(Thread(id="t"))
    store.threads.append("t", text("one"))
    items = store.threads.follow("t", 0, live=True)
    first = next(items)
    assert isinstance(first, ThreadDelta)
    store.live.publish("t", "token")
    assert next(items) == treadle.LiveValue(value="token")
    store.threads.append("t", text("two"))
    second = next(items)
    assert isinstance(second, ThreadDelta)
    assert (first.version, second.version) == (1, 2)
    store.threads.delete("t")
    assert list(items) == [treadle.ThreadDeleted(thread_id="t")]


@every_backend
def test_changes_come_until_the_store_is_closed(store: Store) -> None:
    kinds: list[str] = []
    has_begun = threading.Event()

    def listen() -> None:
        for hint in store.changes(mailbox_id="m"):
            kinds.append(hint.kind)
            has_begun.set()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(listen)
        assert has_begun.wait(30)
        store.mailboxes.send("m", 1)
        while len(kinds) < 2 and not done.done():
            store.mailboxes.wait(50, mailbox_id="other")
        store.close()
        done.result(30)
    assert len(kinds) >= 2


@every_backend
def test_live_values_are_followed(store: Store) -> None:
    with store.live.follow("t") as values:
        store.live.publish("t", {"token": "a"})
        assert next(values) == {"token": "a"}
    with store.live.follow("t") as values:
        store.live.publish("t", 1)
        store.live.publish("t", 2)
        assert [next(values), next(values)] == [1, 2]
    with store.live.follow("t") as values:
        message = store.live.message("t", "m1", run_id="r")
        assert message.id == "m1"
        message.text("Hel")
        message.text("lo")
        pieces = [next(values) for _ in range(2)]
        assert "".join(piece["delta"] for piece in pieces) == "Hello"
    with store.live.follow("t") as values:
        store.close()
        assert list(values) == []


@every_backend
def test_none_comes_when_nothing_does(store: Store) -> None:
    store.threads.create(Thread(id="t"))
    items = store.threads.follow("t", 0, idle_ms=50)
    assert next(items) is None
    store.threads.append("t", text("one"))
    assert next(item for item in items if item is not None) is not None
    items.close()
    hints = store.changes(thread_id="t", idle_ms=50)
    assert next(hints) is not None
    assert next(hint for hint in hints if hint is None) is None


def test_an_iteration_may_end_early(store: Store) -> None:
    for hint in store.changes():
        assert hint.kind == "anything"
        break
    with pytest.raises(InvalidId):
        store.changes(thread_id="\n")
    store.close()
    with pytest.raises(StoreClosed):
        next(store.changes())


@pytest.mark.parametrize("store_url", ["memory", "sqlite"], indirect=True)
async def test_a_running_loop_in_the_callers_thread_does_no_harm(store: Store) -> None:
    assert asyncio.get_running_loop().is_running()
    store.mailboxes.send("m", 1)
    with store.batch() as step:
        step.mailboxes.send("m", 2)
    assert store.mailboxes.count_entries("m").queued == 2


def test_asynchronous_code_runs_on_the_store(store: Store) -> None:
    async def send_both(opened: treadle.Store) -> int:
        await asyncio.gather(opened.mailboxes.send("m", 1), opened.mailboxes.send("m", 2))
        return (await opened.mailboxes.count_entries("m")).queued

    assert store.run(send_both) == 2


def test_a_call_from_inside_a_call_is_refused(store: Store) -> None:
    store.threads.create(Thread(id="t", resource_id="u"))
    with pytest.raises(RuntimeError, match="from inside one of its own calls"):
        store.erase("u", report=lambda _: store.threads.summary("t"))
    assert store.threads.summary("t") is None


def test_calls_have_the_context_of_their_caller(store: Store) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("mine")

    async def look(_: treadle.Store) -> str:
        return variable.get()

    assert store.run(look) == "mine"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.run, look).result() == "none"


@every_backend
def test_a_store_is_closed_once_and_opened_again(store_url: str) -> None:
    store = open_store(store_url)
    with pytest.raises(StoreClosed, match=r"with treadle\.blocking\.open_store"):
        store.threads.summary("t")
    with store:
        with pytest.raises(RuntimeError, match="open already"):
            store.open()
        store.mailboxes.send("m", 1)
    store.close()
    assert repr(store).endswith("closed>")
    with pytest.raises(StoreClosed), store.batch() as step:
        step.mailboxes.send("m", 2)
    assert store.open() is store
    assert store.mailboxes.count_entries().queued == 1
    store.close()


def test_a_store_that_cannot_be_opened_leaves_no_thread(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("no folder")
    before = threading.active_count()
    with pytest.raises(treadle.StoreUnavailable):
        open_store(tmp_path / "file" / "store").open()
    wait_for_threads(before)


def test_a_loop_that_cannot_begin_is_an_error_and_no_wait(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    store = open_store(f"sqlite:///{tmp_path}/store.db")
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "new_event_loop", refuse)
        patched.setattr(asyncio.events, "new_event_loop", refuse)
        with pytest.raises(treadle.StoreUnavailable, match="Too many open files"):
            store.open()
    with store:
        store.mailboxes.send("m", 1)


def test_a_store_that_is_dropped_warns_and_ends_its_thread(tmp_path: Any) -> None:
    before = threading.active_count()
    store = open_store(f"sqlite:///{tmp_path}/store.db").open()
    store.mailboxes.send("m", 1)
    del store
    with pytest.warns(ResourceWarning, match="was never closed"):
        gc.collect()
    wait_for_threads(before)


def test_calls_of_other_threads_end_when_the_store_is_closed(tmp_path: Any) -> None:
    for number in range(10):
        store = open_store(f"sqlite:///{tmp_path}/{number}.db").open()
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(send_until_closed, store) for _ in range(4)]
            store.mailboxes.wait(20)
            store.close()
            sent = sum(call.result(30) for call in calls)
        with store:
            assert store.mailboxes.count_entries().queued == sent


def send_until_closed(store: Store) -> int:
    """Send entries, and return how many were acknowledged."""
    sent = 0
    while True:
        try:
            store.mailboxes.send("m", sent)
        except StoreClosed:
            return sent
        sent += 1


def wait_for_threads(count: int) -> None:
    """Wait until no more threads than that run."""
    for _ in range(500):
        if threading.active_count() <= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(threading.enumerate())


def test_a_batch_joins_the_transaction_of_the_caller(
    postgres_schemas: Any, postgres_url: str
) -> None:
    schema = postgres_schemas.take()
    url = f"{postgres_url}{'&' if '?' in postgres_url else '?'}schema={schema}"
    with open_store(url) as store, psycopg.connect(postgres_url) as connection:
        with store.batch(connection=connection) as step:
            step.mailboxes.send("m", 1)
        connection.rollback()
        assert store.mailboxes.count_entries("m").queued == 0
        with store.batch(connection=connection) as step:
            step.mailboxes.send("m", 2)
        connection.commit()
        assert store.mailboxes.count_entries("m").queued == 1
    postgres_schemas.give_back(schema)
