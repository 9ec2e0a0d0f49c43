"""What was acknowledged survives a power failure; what was not is whole or absent."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from tests.files.calls import State, claim, commit, read_readable, read_state
from tests.files.simulated_disk import Content, Image, Keep, RecordingDisk, SteadyDisk, lay_down
from treadle.backends._deadline import Patience
from treadle.backends.base import Durability
from treadle.backends.files._engine import Engine
from treadle.backends.files._entries import Put, encode_entries
from treadle.backends.files._journal import Journal, Position
from treadle.backends.files._recovery import journal_path
from treadle.backends.files.disk import Disk
from treadle.backends.files.json_files import JsonFiles
from treadle.core.claims import Ack, ClaimRequest
from treadle.core.codec import encode
from treadle.core.commands import AnyCommand
from treadle.core.documents import DeleteDocuments, PutDocument
from treadle.core.mailbox_commands import EnsureMailbox, Interrupt, Send
from treadle.core.mailbox_deletion import Purge
from treadle.core.mailboxes import MailboxState
from treadle.core.messages import Message
from treadle.core.runs import RunMeta
from treadle.core.thread_commands import (
    AppendThread,
    CreateThread,
    DeleteThread,
    SaveThread,
    UpdateThread,
)
from treadle.core.thread_edits import TruncateThread
from treadle.core.threads import Thread, ThreadChangeSet
from treadle.errors import CorruptRecord

KINDS = [
    "append",
    "append",
    "append",
    "update",
    "truncate",
    "save",
    "delete",
    "send",
    "work",
    "purge",
    "put",
    "put",
    "range",
]


class Recording:
    """A store in use: the steps of its disk, and the states that were acknowledged in between."""

    def __init__(
        self, folder: Path, seed: int, commits: int = 40, durability: Durability = "full"
    ) -> None:
        self.folder = folder
        self.disk = RecordingDisk()
        self.acknowledged: list[tuple[int, State]] = [(0, {})]
        self._choose = random.Random(seed)
        ticks = iter(range(1, 10**9))
        self._engine = Engine(
            str(folder), ticks.__next__, durability, self.disk, journal_bytes=4000
        )
        self._engine.open(Patience.of(60))
        for number in range(commits):
            self._step(number)
        self._engine.close()

    def _commit(self, *batch: AnyCommand) -> None:
        commit(self._engine, *batch)
        self._note_acknowledged()

    def _note_acknowledged(self) -> None:
        steps = len(self.disk.steps)  # before the read, which may take steps as well
        self.acknowledged.append((steps, read_state(self._engine)))

    def _step(self, number: int) -> None:
        """One random commit, or a claim and its ack."""
        key = f"t{self._choose.randrange(4)}"
        message = Message(id=f"m{number}", role="user", content="x" * self._choose.randrange(200))
        match self._choose.choice(KINDS):
            case "append":
                self._append(key, number, message)
            case "update":
                self._update(key, number)
            case "truncate":
                self._truncate(key, message)
            case "save":
                self._commit(SaveThread(thread=Thread(id=key, messages=(message,))))
            case "delete":
                self._commit(DeleteThread(thread_id=key), Interrupt(mailbox_id=key))
            case "send":
                self._commit(Send(entry_id=f"e{number}", mailbox_id=key, payload={"n": number}))
            case "purge":
                self._commit(Purge(ended_before=10**13), Interrupt(mailbox_id="other"))
            case "put":
                put = PutDocument(collection=key, key=(str(number % 7),), value=message.content)
                send = Send(entry_id=f"e{number}", mailbox_id=key, payload=number)
                self._commit(put, send, msgspec.structs.replace(put, collection="all"))
            case "range":
                self._commit(DeleteDocuments(collection=key), Interrupt(mailbox_id=key))
            case _:
                self._work()

    def _append(self, key: str, number: int, message: Message) -> None:
        changes = ThreadChangeSet(run_id=f"r{number % 5}", run_meta=RunMeta(), messages=(message,))
        append = AppendThread(thread_id=key, changes=changes)
        send = Send(entry_id=f"s{number}", mailbox_id=key, payload=1)
        if f"thread {key}" in self.acknowledged[-1][1]:
            self._commit(append, append, send)
        else:
            self._commit(CreateThread(thread=Thread(id=key)), append, send)

    def _update(self, key: str, number: int) -> None:
        update = UpdateThread(thread_id=key, metadata={f"k{number % 3}": number}, resource_id="x")
        created = f"thread {key}" in self.acknowledged[-1][1]
        self._commit(*(() if created else (CreateThread(thread=Thread(id=key)),)), update)

    def _truncate(self, key: str, message: Message) -> None:
        created = f"thread {key}" in self.acknowledged[-1][1]
        truncate = TruncateThread(thread_id=key, drop=self._choose.randrange(3))
        append = AppendThread(thread_id=key, changes=ThreadChangeSet(messages=(message,)))
        create = (CreateThread(thread=Thread(id=key)),)
        batch = (truncate, append, truncate) if self._choose.random() < 0.5 else (truncate, append)
        self._commit(*(() if created else create), *batch)

    def _work(self) -> None:
        request = ClaimRequest(consumer="w", limit=1, lease_ms=0)
        claimed = claim(self._engine, request)
        self._note_acknowledged()
        for entry in claimed:
            assert entry.claim_token is not None
            self._commit(Ack(entry_id=entry.entry_id, claim_token=entry.claim_token))

    def possible(self, steps: int) -> list[State]:
        """Return the last state acknowledged before `steps`, and the next one."""
        before = self._acknowledged_before(steps)
        return [state for _, state in self.acknowledged[before : before + 2]]

    def possible_rows(self, steps: int) -> dict[str, set[bytes | None]]:
        """Return what each row may be in relaxed mode; None: it may be lost, or unreadable.

        Of the commits since the last sync, any part may be lost.
        """
        synced = max(at for at in self.disk.log_syncs if at < max(steps, 1))
        first = self._acknowledged_before(synced)
        last = self._acknowledged_before(steps) + 1
        states = [state for _, state in self.acknowledged[first : last + 1]]
        keys = {key for state in states for key in state}
        return {key: {state.get(key) for state in states} for key in keys}

    def _acknowledged_before(self, steps: int) -> int:
        return max(i for i, (at, _) in enumerate(self.acknowledged) if at <= steps)


def reopen(folder: Path, read: Callable[[Engine], State] = read_state) -> State:
    engine = Engine(str(folder), lambda: 10**12, "full", SteadyDisk())
    engine.open(Patience.of(60))
    state = read(engine)
    engine.close()
    return state


def fails(recording: Recording, images: list[dict[str, bytes]], at: int, target: Path) -> list[str]:
    """Return the images that do not open as a possible state."""
    wrong: list[str] = []
    for number, files in enumerate(images):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        lay_down(files, recording.folder, target)
        state = reopen(target)
        if state not in recording.possible(at):
            wrong.append(f"image {number} after step {at}")
    return wrong


def image_at(disk: RecordingDisk, steps: int) -> Image:
    image = Image()
    for change in disk.steps[:steps]:
        change(image)
    return image


def survives(folder: Path, seed: int, every: int) -> list[str]:
    """Fail after every so many steps, in each way; return what went wrong."""
    recording = Recording(folder / "life", seed)
    choose = random.Random(seed)
    wrong: list[str] = []
    for at in range(0, len(recording.disk.steps) + 1, every):
        image = image_at(recording.disk, at)
        images = [image.after_failure(choose, keep) for keep in get_args(Keep)]
        wrong += fails(recording, images, at, folder / "after")
    return wrong


@pytest.mark.parametrize("seed", range(2))
def test_a_failure_after_any_step_leaves_what_was_acknowledged(tmp_path: Path, seed: int) -> None:
    assert survives(tmp_path, seed, every=5) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 40))
def test_a_failure_after_each_step_leaves_what_was_acknowledged(tmp_path: Path, seed: int) -> None:
    assert survives(tmp_path, seed, every=1) == []


def survives_relaxed(folder: Path, seed: int, every: int) -> list[str]:
    """Like `survives`: return the rows that are not what they were at the last sync, or later."""
    recording = Recording(folder / "life", seed, durability="relaxed")
    choose = random.Random(seed)
    wrong: list[str] = []
    for at in range(0, len(recording.disk.steps) + 1, every):
        image = image_at(recording.disk, at)
        possible = recording.possible_rows(at)
        for keep in get_args(Keep):
            target = folder / "after"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            lay_down(image.after_failure(choose, keep), recording.folder, target)
            state = reopen(target, read_readable)
            wrong += [
                f"{key} after step {at}, of the unsynced {keep}"
                for key in possible.keys() | state.keys()
                if state.get(key) not in possible.get(key, {None})
            ]
    return wrong


@pytest.mark.parametrize("seed", range(2))
def test_a_failure_in_relaxed_mode_loses_nothing_that_was_synced(tmp_path: Path, seed: int) -> None:
    assert survives_relaxed(tmp_path, seed, every=9) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 40))
def test_a_failure_after_each_step_in_relaxed_mode_loses_nothing_that_was_synced(
    tmp_path: Path, seed: int
) -> None:
    assert survives_relaxed(tmp_path, seed, every=1) == []


def test_relaxed_appends_are_synced_once_for_each_thread(tmp_path: Path) -> None:
    disk = RecordingDisk()
    engine = Engine(str(tmp_path / "life"), lambda: 1, "relaxed", disk)
    engine.open(Patience.of(60))
    for key in ("a", "b"):
        commit(engine, CreateThread(thread=Thread(id=key)))
    engine.close()
    engine = Engine(str(tmp_path / "life"), lambda: 1, "relaxed", disk)
    engine.open(Patience.of(60))
    before = len(disk.log_syncs)
    for number in range(20):
        message = Message(id=f"m{number}", role="user", content="x")
        for key in ("a", "b"):
            commit(
                engine,
                AppendThread(thread_id=key, changes=ThreadChangeSet(messages=(message,))),
                Send(entry_id=f"{key}{number}", mailbox_id=key, payload=1),
            )
    assert len(disk.log_syncs) == before + 2
    engine.close()


def test_relaxed_puts_are_synced_once_for_each_collection_that_exists(tmp_path: Path) -> None:
    disk = RecordingDisk()
    for collections, syncs in (("ab", 0), ("abc", 2)):
        engine = Engine(str(tmp_path / "life"), lambda: 1, "relaxed", disk)
        engine.open(Patience.of(60))
        before = len(disk.log_syncs)
        for number in range(20):
            for name in collections:
                put = PutDocument(collection=name, key=(str(number),), value=number)
                commit(engine, put, msgspec.structs.replace(put, key=("newest",)))
        assert len(disk.log_syncs) == before + syncs
        engine.close()


def torn_tails(content: Content) -> Iterator[bytes]:
    """Yield a file whose writes since its sync end too early, or have a hole before the last."""
    data = content.now()
    last, _ = content.writes[-1]
    for size in range(len(content.sure or b""), len(data), 9):
        yield data[:size]
        yield data[:size].ljust(last, b"\0") + data[max(size, last) :]


def test_a_torn_line_does_not_hide_the_document_that_was_synced(tmp_path: Path) -> None:
    folder, disk, image = tmp_path / "life", RecordingDisk(), Image()
    acknowledged: list[State] = []
    for values in (["synced"], ["newer", "newest"]):
        engine = Engine(str(folder), lambda: 1, "relaxed", disk)
        engine.open(Patience.of(60))
        for value in values:
            commit(engine, PutDocument(collection="notes", key=("a",), value=value * 9))
            acknowledged.append(read_state(engine))
        image = image_at(disk, len(disk.steps))  # of the second handle: before it is closed
        engine.close()
    path = str(folder / "_treadle" / "documents" / "notes.jsonl")
    files = image.after_failure(random.Random(0), "nothing")
    for number, data in enumerate(torn_tails(image.names[path])):
        after = tmp_path / f"after {number}"
        after.mkdir()
        lay_down({**files, path: data}, folder, after)
        assert reopen(after, read_readable) in acknowledged


def test_a_record_torn_at_any_byte_is_whole_or_absent(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "life", seed=1, commits=6)
    at, path, length = recording.disk.journal_writes[-1]
    image = image_at(recording.disk, at)
    before = image.after_failure(random.Random(0), "nothing")
    recording.disk.steps[at](image)
    written = image.names[path].writes[-1][1]
    images = [{**before, path: before[path] + written[:size]} for size in range(length + 1)]
    assert fails(recording, images, at, tmp_path / "after") == []


def payload_for(mailbox_id: str) -> bytes:
    """Return the payload of a record that creates a mailbox."""
    state = MailboxState(mailbox_id=mailbox_id, updated_at=1)
    return encode_entries([Put("mailboxes", mailbox_id, msgspec.Raw(encode(state, pretty=True)))])


def test_a_dead_writer_s_commit_survives_once_another_process_has_read_it(tmp_path: Path) -> None:
    folder, disk = tmp_path / "life", RecordingDisk()
    engine = Engine(str(folder), lambda: 1, "full", disk)
    engine.open(Patience.of(60))
    dead = Journal(disk, journal_path(JsonFiles(disk, str(folder)), 1), Position(1))
    dead.append([payload_for("box")], sync=False)
    seen = read_state(engine)
    assert list(seen) == ["mailbox box"]
    image = image_at(disk, len(disk.steps))
    (tmp_path / "after").mkdir()
    lay_down(image.after_failure(random.Random(0), "nothing"), folder, tmp_path / "after")
    assert reopen(tmp_path / "after") == seen
    engine.close()


def test_a_torn_group_does_not_come_back_after_the_next_commit(tmp_path: Path) -> None:
    """The process died while it wrote two records: the first is torn, the second whole."""
    folder = str(tmp_path)
    one, other = (Engine(folder, lambda: 1, "full", SteadyDisk()) for _ in range(2))
    one.open(Patience.of(60))
    other.open(Patience.of(60))
    path = journal_path(JsonFiles(Disk(), folder), 1)
    dead = Journal(Disk(), path, Position(1))
    dead.append([payload_for("box 1"), payload_for("box 2")], sync=False)
    data = bytearray(Path(path).read_bytes())
    data[45] ^= 1
    Path(path).write_bytes(data)
    commit(one, EnsureMailbox(mailbox_id="box 3"))  # its record is as long as the torn one
    for engine in (other, one):
        assert list(read_state(engine)) == ["mailbox box 3"]
        engine.close()
    assert list(reopen(tmp_path)) == ["mailbox box 3"]


def test_damage_to_a_synced_record_is_an_error(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "life", seed=1, commits=6)
    first = recording.disk.journal_writes[0][1]
    *_, (at, path, _) = [each for each in recording.disk.journal_writes if each[1] == first]
    files = image_at(recording.disk, at).after_failure(random.Random(0), "nothing")
    damaged = bytearray(files[path])
    damaged[45] ^= 1
    (tmp_path / "after").mkdir()
    lay_down({**files, path: bytes(damaged)}, recording.folder, tmp_path / "after")
    with pytest.raises(CorruptRecord, match="later ones are whole"):
        reopen(tmp_path / "after")
