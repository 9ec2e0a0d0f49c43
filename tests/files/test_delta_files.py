"""Delta files repeat no message of a thread, and a line that does not fit is not believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from treadle import Message, Store, Thread, ThreadChangeSet, ThreadDelta, open_store
from treadle.backends.files import _delta_files
from treadle.backends.files.disk import Disk
from treadle.backends.files.doctor import examine

TEXT = "a text that is long enough to be recognised"


def lines_of(folder: Path) -> Path:
    return folder / "_treadle" / "deltas" / "t.jsonl"


async def texts(store: Store) -> list[list[Any]] | None:
    deltas = await store.threads.list_deltas("t", 0)
    if deltas is None:
        return None
    return [[message.content for message in delta.changes.messages] for delta in deltas]


def says(*contents: str) -> ThreadChangeSet:
    return ThreadChangeSet(messages=tuple(map(Message.user, contents)))


async def fill(folder: Path) -> None:
    async with open_store(folder) as store:
        await store.threads.create(Thread(id="t"))
        await store.threads.append("t", says(TEXT + "1", TEXT + "2"), now=TIME)
        await store.threads.truncate("t", drop=1)
        await store.threads.append("t", says(TEXT + "3"))


SAID = [[TEXT + "1", TEXT + "2"], [], [TEXT + "3"]]


async def test_a_line_names_its_messages_and_only_a_truncation_keeps_them(tmp_path: Path) -> None:
    await fill(tmp_path)
    _, *lines = lines_of(tmp_path).read_bytes().splitlines()
    first, cut, last = map(json.loads, lines)
    assert [cut[2], last[2]] == [first[1], cut[1]]
    assert [first[0], first[3:]] == [1, [[0, 1]]]
    assert [cut[0], cut[3], cut[4]["truncated_to"]] == [2, [], 1]
    assert [(time, each["content"]) for time, each in cut[5]] == [(TIME, TEXT + "2")]
    assert [last[0], last[3:]] == [3, [[1]]]
    async with open_store(tmp_path) as store:
        assert await texts(store) == SAID


async def test_a_message_that_the_thread_had_already_is_in_its_line(tmp_path: Path) -> None:
    again = Message(id="one", role="user", content="again")
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t", messages=(Message.user("one", id="one"),)))
        changes = ThreadChangeSet(messages=(again, Message.user(TEXT)))
        await store.threads.append("t", changes)
        (delta,) = await store.threads.list_deltas("t", 0) or ()
        assert delta.changes == changes
    assert TEXT not in lines_of(tmp_path).read_text()


async def test_a_batch_that_takes_back_what_it_said_has_all_of_it_in_its_lines(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        async with store.batch() as step:
            step.threads.create(Thread(id="t"))
            step.threads.append("t", says("a", "b"))
            step.threads.truncate("t", keep=1)
        async with store.batch() as step:
            step.threads.append("t", says("c"))
            step.threads.truncate("t", keep=0)
            step.threads.append("t", says("d"))
        assert await texts(store) == [["a", "b"], [], ["c"], [], ["d"]]
    async with open_store(tmp_path) as store:
        assert await texts(store) == [["a", "b"], [], ["c"], [], ["d"]]


TIME = 1_700_000_000_000
DAMAGE: dict[str, Any] = {
    "a position that the thread does not have": [1, TIME, 5, [7]],
    "a position that is negative": [1, TIME, 5, [-1]],
    "a position that is too large": [1, TIME, 5, [2**70]],
    "a position that is true": [1, TIME, 5, [True]],
    "a position that is text": [1, TIME, 5, ["0"]],
    "a message that is none": [1, TIME, 5, [{"content": "x"}]],
    "messages that are none": [1, TIME, 5, {}],
    "no time": [1, None, 5, [0, 1]],
    "a time that is text": [1, "now", 5, [0, 1]],
    "changes that are none": [1, TIME, 5, [0, 1], []],
    "removed messages that are none": [1, TIME, 5, [0, 1], {}, [[5, 7]]],
    "a removed message without its time": [1, TIME, 5, [0, 1], {}, [{"role": "user"}]],
    "a cut that is none": [1, TIME, 5, [0, 1], {"truncated_to": -1}],
    "another time": [1, 5, 5, [0, 1]],
    "a time before that is text": [1, TIME, "then", [0, 1]],
    "another version": [4, TIME, 5, [0, 1]],
    "no version": [],
    "an object": {"version": 1},
}


@pytest.mark.parametrize("line", DAMAGE.values(), ids=DAMAGE)
async def test_a_line_that_does_not_fit_ends_what_is_known(tmp_path: Path, line: Any) -> None:
    await fill(tmp_path)
    _, _, *rest = lines_of(tmp_path).read_bytes().splitlines()
    lines_of(tmp_path).write_bytes(b"\n".join((b"", json.dumps(line).encode(), *rest)))
    assert not examine(tmp_path).findings
    async with open_store(tmp_path) as store:
        assert await texts(store) is None
        assert len(await store.threads.list_deltas("t", 1) or ()) == 2
        await store.threads.append("t", says("more"))
        assert len(await store.threads.list_deltas("t", 1) or ()) == 3


TORN = {"empty": b"\n", "zeros": b"\x00" * 9, "deep": b"[" * 100_000, "no text": b"\xff"}


@pytest.mark.parametrize("lost", TORN.values(), ids=TORN)
async def test_a_torn_line_ends_what_is_known(tmp_path: Path, lost: bytes) -> None:
    await fill(tmp_path)
    with lines_of(tmp_path).open("ab") as file:
        file.write(b"\n" + lost)
    async with open_store(tmp_path) as store:
        assert await texts(store) is None
        await store.threads.append("t", says("more"))
        assert len(await store.threads.list_deltas("t", 3) or ()) == 1


async def test_a_batch_that_saves_appends_and_updates_has_its_deltas(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        async with store.batch() as step:
            step.threads.save(Thread(id="t"))
            step.threads.append("t", says("said"))
            step.threads.update("t", metadata={"title": "x"}, now=5)
        found = await store.threads.list_deltas("t", 1)
        assert found is not None
        assert [each.version for each in found] == [2]


async def test_deltas_of_a_deleted_thread_are_not_those_of_its_successor(tmp_path: Path) -> None:
    """A crash may undo the removal of the file, and lose the first lines of the new thread."""
    await fill(tmp_path)
    old = lines_of(tmp_path).read_bytes()
    async with open_store(tmp_path) as store:
        await store.threads.delete("t")
        await store.threads.create(Thread(id="t"))
        for text in ("a", "b", "c", "d"):
            await store.threads.append("t", says(text))
    *_, last = lines_of(tmp_path).read_bytes().splitlines()
    assert json.loads(last)[0] == 4
    lines_of(tmp_path).write_bytes(old + b"\n" + last)
    async with open_store(tmp_path) as store:
        assert await texts(store) is None
        (delta,) = await store.threads.list_deltas("t", 3) or ()
        assert [each.content for each in delta.changes.messages] == ["d"]


async def test_a_page_of_deltas_is_a_part_of_all_of_them(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        for number in range(12):
            await store.threads.append("t", Message.user(f"first {number}"))
            if number % 3 == 2:
                await store.threads.truncate("t", drop=2)
                await store.threads.append("t", Message.user(f"second {number}"))
    async with open_store(tmp_path) as store:
        everything = await store.threads.list_deltas("t", 0)
        assert everything is not None
        for after in range(len(everything)):
            for limit in (1, 3, 200):
                page = await store.threads.list_deltas("t", after, limit=limit)
                assert page == everything[after : after + limit]


LONG = 1_500


async def write_many(folder: Path) -> None:
    """Write a thread with many deltas, some of which cut off what others said."""
    async with open_store(folder) as store:
        await store.threads.create(Thread(id="t"))
        for first in range(0, LONG, 100):
            async with store.batch() as step:
                for number in range(first, first + 100):
                    step.threads.append("t", Message.user(f"{TEXT} {number}"))
                    if number % 40 == 7:
                        step.threads.truncate("t", drop=number % 11)
                step.threads.update("t", metadata={"title": f"{first}"})


async def pages(store: Store, after: int = 0) -> list[ThreadDelta]:
    found: list[ThreadDelta] = []
    while True:
        page = await store.threads.list_deltas("t", after, limit=50)
        assert page is not None
        found += page
        if not page:
            return found
        after = page[-1].version


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of files were read, whole ones apart."""
    found: list[int] = []
    read_log = Disk.read_log

    def counted(disk: Disk, log: int, start: int, size: int) -> bytes:
        data = read_log(disk, log, start, size)
        found.append(len(data))
        return data

    monkeypatch.setattr(Disk, "read_log", counted)
    return found


async def test_pages_of_many_deltas_read_the_file_about_once(
    tmp_path: Path, read: list[int]
) -> None:
    await write_many(tmp_path)
    size = lines_of(tmp_path).stat().st_size
    async with open_store(tmp_path) as store:
        everything = await store.threads.list_deltas("t", 0)
        read.clear()
        assert tuple(await pages(store)) == everything
    assert size < sum(read) < 4 * size


async def test_the_last_deltas_of_many_are_read_alone(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_many(tmp_path)
    monkeypatch.setattr(_delta_files, "_FIRST_BYTES", 300)
    async with open_store(tmp_path) as store:
        head = await store.threads.summary("t")
        assert head is not None
        everything = await store.threads.list_deltas("t", 0) or ()
        for number in (1, 2, 30):
            read.clear()
            last = await store.threads.list_deltas("t", head.version - number)
            assert last == everything[-number:]
            assert sum(read) < 1_000 * number


async def test_pages_know_what_other_handles_have_written(tmp_path: Path) -> None:
    await write_many(tmp_path)
    async with open_store(tmp_path) as store, open_store(tmp_path) as other:
        before = await pages(store)
        await other.threads.truncate("t", drop=300)
        await other.threads.append("t", says("again"))
        after = await pages(store)
        assert after[:-2] == before
        assert [each.content for each in after[-1].changes.messages] == ["again"]
        await other.threads.delete("t")
        await other.threads.create(Thread(id="t"))
        for number in range(LONG // 3):
            await other.threads.append("t", Message.user(f"{number}"))
        assert len(await pages(store)) == LONG // 3


@pytest.mark.parametrize("end", [b"\n[9", b"\n[9]", b"\nx\n", b"\n[1500,1,1]"])
async def test_pages_are_as_known_as_the_end_of_the_file(tmp_path: Path, end: bytes) -> None:
    await write_many(tmp_path)
    path = lines_of(tmp_path)
    whole = path.read_bytes()
    async with open_store(tmp_path) as store:
        before = await pages(store)
        path.write_bytes(whole + end)
        assert await store.threads.list_deltas("t", 0, limit=50) is None
        path.write_bytes(whole)
        assert await pages(store) == before
    lines = whole.split(b"\n")
    path.write_bytes(b"\n".join(lines[:900] + lines[905:]))
    async with open_store(tmp_path) as store:
        assert await store.threads.list_deltas("t", 0, limit=50) is None
        assert await store.threads.list_deltas("t", 1_000, limit=50) == tuple(before[1_000:1_050])
