"""Journals are completed and removed while other handles lag behind."""

import errno
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.files.calls import attempt, batch_of, claim_of, commit, read_state
from treadle.backends._deadline import Patience
from treadle.backends.files import _tables
from treadle.backends.files._engine import Engine
from treadle.backends.files.disk import Disk
from treadle.core.claims import ClaimRequest
from treadle.core.commands import AnyCommand
from treadle.core.mailbox_commands import Cancel, Interrupt, Send
from treadle.core.mailbox_deletion import Purge
from treadle.core.messages import Message
from treadle.core.thread_commands import (
    AppendThread,
    CreateThread,
    DeleteThread,
    SaveThread,
    UpdateThread,
)
from treadle.core.thread_edits import ForkThread, TruncateThread
from treadle.core.threads import Thread, ThreadChangeSet


class Handles:
    """Several handles on one folder, with small journals."""

    def __init__(self, folder: Path, count: int, journal_bytes: int) -> None:
        self._folder = folder
        self._journal_bytes = journal_bytes
        ticks = iter(range(1, 10**9))
        self._clock = ticks.__next__
        self.engines = [self.open() for _ in range(count)]

    def open(self) -> Engine:
        engine = Engine(
            str(self._folder), self._clock, "relaxed", journal_bytes=self._journal_bytes
        )
        engine.open(Patience.of(60))
        return engine

    def close(self) -> None:
        for engine in self.engines:
            engine.close()


def write(engine: Engine, choose: random.Random, number: int) -> None:
    """Attempt one random commit, or a claim."""
    key = f"t{choose.randrange(3)}"
    message = Message(id=f"m{number}", role="user", content="x" * choose.randrange(100))
    changes = ThreadChangeSet(messages=(message,))
    commands: dict[str, AnyCommand] = {
        "create": CreateThread(thread=Thread(id=key)),
        "append": AppendThread(thread_id=key, changes=changes),
        "update": UpdateThread(thread_id=key, metadata={"n": number}, now=number),
        "truncate": TruncateThread(thread_id=key, drop=choose.randrange(3)),
        "fork": ForkThread(source=key, new=f"t{choose.randrange(4)}"),
        "save": SaveThread(thread=Thread(id=key, messages=(message,))),
        "delete": DeleteThread(thread_id=key),
        "send": Send(
            entry_id=f"e{number}", mailbox_id=key, payload=number, dedupe_key=f"{number % 7}"
        ),
        "cancel": Cancel(entry_id=f"e{max(number - 3, 0)}"),
        "interrupt": Interrupt(mailbox_id=key),
        "purge": Purge(ended_before=number),
    }
    kind = choose.choice(
        ["append", "append", "update", "truncate", "send", "send", "claim", *commands]
    )
    if kind == "claim":
        request = ClaimRequest(consumer="w", limit=2, lease_ms=choose.randrange(20))
        attempt(engine, claim_of(request))
    else:
        attempt(engine, batch_of(commands[kind]))


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))]
)
@pytest.mark.parametrize("journal_bytes", [1, 2_000])
@pytest.mark.parametrize("kept", [0, 5_000, None])
def test_every_handle_sees_the_same_store_however_far_it_lags(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    journal_bytes: int,
    kept: int | None,
) -> None:
    if kept is not None:  # most rows are read again for each group
        monkeypatch.setattr(_tables, "THREAD_BYTES", kept)
        monkeypatch.setattr(_tables, "ENDED_BYTES", kept)
        monkeypatch.setattr(_tables, "ENDED_ROWS", kept // 1_000)
        monkeypatch.setattr(_tables, "ROWS", kept // 1_000)
    choose = random.Random(seed)
    handles = Handles(tmp_path, 3, journal_bytes)
    for number in range(150):
        engine = choose.choice(handles.engines[: 1 + number // 50])  # the last ones lag at first
        write(engine, choose, number)
        if choose.random() < 0.2:
            expected = read_state(engine)
            assert all(read_state(other) == expected for other in choose.sample(handles.engines, 2))
        if choose.random() < 0.03:
            index = handles.engines.index(engine)
            engine.close()
            handles.engines[index] = handles.open()
    expected = read_state(handles.engines[0])
    assert [read_state(other) == expected for other in handles.engines] == [True] * 3
    handles.close()
    reopened = handles.open()
    assert read_state(reopened) == expected
    reopened.close()


def test_a_closed_store_has_no_journals_and_no_temporary_files(tmp_path: Path) -> None:
    handles = Handles(tmp_path, 2, 1_000)
    for number in range(60):
        write(handles.engines[number % 2], random.Random(number), number)
    handles.close()
    left = sorted(path.name for path in (tmp_path / "_treadle").iterdir())
    assert left == ["deltas", "documents", "format.json", "lock", "open", "queue", "tmp"]
    assert list((tmp_path / "_treadle" / "tmp").iterdir()) == []


class RefusingDisk(Disk):
    """Has no space for one request of a kind."""

    refused: str | None = None

    def _refuse(self, request: str) -> None:
        if self.refused == request:
            self.refused = None
            raise OSError(errno.ENOSPC, "no space left on device")

    def open_log(self, path: str) -> int:
        if "journal-" in path:
            self._refuse("open_log")
        return super().open_log(path)

    def sync_folder(self, path: str) -> None:
        self._refuse("sync_folder")
        super().sync_folder(path)


@pytest.mark.parametrize("refused", ["open_log", "sync_folder"])
def test_a_commit_succeeds_although_the_next_journal_cannot_be_created(
    tmp_path: Path, refused: str
) -> None:
    disk = RefusingDisk()
    engine = Engine(str(tmp_path), lambda: 1, "full", disk, journal_bytes=1)
    engine.open(Patience.of(60))

    commit(engine, CreateThread(thread=Thread(id="t")))
    disk.refused = refused
    for expected in range(3):
        commit(engine, AppendThread(thread_id="t", changes=ThreadChangeSet(), expected=expected))
    engine.close()


class FullDisk(Disk):
    """Has no space for another journal."""

    attempts = 0

    def open_log(self, path: str) -> int:
        if path.endswith("journal-0000000000000002"):
            self.attempts += 1
            raise OSError(errno.ENOSPC, "no space left on device")
        return super().open_log(path)


def test_a_journal_that_cannot_be_completed_is_logged_and_tried_again_when_it_has_grown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk()
    engine = Engine(str(tmp_path), lambda: 1, "full", disk, journal_bytes=2_000)
    engine.open(Patience.of(60))
    commit(engine, CreateThread(thread=Thread(id="t")))
    path = tmp_path / "_treadle" / "journal-0000000000000001"
    while path.stat().st_size < 10_000:
        commit(engine, AppendThread(thread_id="t", changes=ThreadChangeSet()))
    assert 4 <= disk.attempts <= 5
    assert caplog.text.count("no space left on device") >= disk.attempts
    assert "no journal can be started after journal 1" in caplog.text
    engine.close()


def test_a_commit_succeeds_although_no_thread_can_be_started_for_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = Engine(str(tmp_path), lambda: 1, "full", journal_bytes=1)
    engine.open(Patience.of(60))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for number in range(3):
        commit(engine, CreateThread(thread=Thread(id=f"t{number}")))
    monkeypatch.undo()
    engine.close()
    assert "stay until the next checkpoint" in caplog.text
    assert sorted(path.name for path in (tmp_path / "_treadle").glob("journal-*")) == []


def test_handles_can_open_a_new_folder_at_the_same_time(tmp_path: Path) -> None:
    def open_and_close(number: int) -> None:
        engine = Engine(str(tmp_path / str(number // 8)), lambda: 1, "full")
        engine.open(Patience.of(60))
        engine.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_and_close, range(200)))
