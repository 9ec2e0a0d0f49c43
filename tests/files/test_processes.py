"""Several real processes on one folder, some of them killed: longer than in the suite."""

import json
from pathlib import Path

import pytest

import weft
from weft import Message, Thread, ThreadChangeSet, VersionConflict
from weft.testing.own import FILES
from weft.testing.writers import kill_among_others, race


def test_eight_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    reports = race(FILES, tmp_path, processes=8, seconds=20)
    assert sum(reports.values()) > 100


def test_two_hundred_killed_writers_leave_every_step_whole_or_absent(tmp_path: Path) -> None:
    kill_among_others(FILES, tmp_path, kills=200)


@pytest.mark.soak
def test_thousands_of_killed_writers_leave_every_step_whole_or_absent(tmp_path: Path) -> None:
    kill_among_others(FILES, tmp_path, kills=3000)


async def test_a_thread_s_document_is_in_place_when_the_append_returns(tmp_path: Path) -> None:
    async with weft.open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
        for number in range(1, 4):
            await store.threads.append("t", ThreadChangeSet(messages=(Message.user("hi"),)))
            document = json.loads((tmp_path / "t.json").read_bytes())
            assert document["_version"] == number == len(document["messages"])


async def test_two_handles_see_each_other_s_writes(tmp_path: Path) -> None:
    async with weft.open_store(tmp_path) as one, weft.open_store(tmp_path) as other:
        await one.threads.create(Thread(id="t"))
        for number in range(20):
            store, reader = (one, other) if number % 2 else (other, one)
            await store.threads.append("t", ThreadChangeSet(), expected=number)
            head = await reader.threads.load("t")
            assert head is not None
            assert head.version == number + 1
        with pytest.raises(VersionConflict) as conflict:
            await one.threads.append("t", ThreadChangeSet(), expected=3)
        assert conflict.value.actual == 20
