"""Writes: awaited on the store, pending in a batch, and never lost in silence."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from treadle import InvalidValue, Message, Store, Thread, ThreadChangeSet
from treadle.testing._harness.builders import says


async def test_a_write_that_is_never_awaited_warns_and_writes_nothing(store: Store) -> None:
    with pytest.warns(RuntimeWarning, match=r"CreateThread 't' was never awaited: nothing was"):
        store.threads.create(Thread(id="t"))
    assert await store.threads.load("t") is None


async def test_a_write_can_run_as_a_task(store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(store.threads.create(Thread(id="t")))
        second = group.create_task(store.threads.create(Thread(id="u")))
    assert (first.result().version, second.result().version) == (0, 0)


async def test_a_cancelled_write_does_not_warn(store: Store) -> None:
    task = asyncio.create_task(store.threads.create(Thread(id="t")))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.threads.load("t") is None


async def test_a_write_can_be_awaited_once(store: Store) -> None:
    write = store.threads.create(Thread(id="t"))
    await write
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await write


async def test_a_closed_write_says_so(store: Store) -> None:
    write = store.threads.create(Thread(id="t"))
    write.close()
    with pytest.raises(RuntimeError, match="this write was closed"):
        await write


async def test_a_task_is_named_after_its_write(store: Store) -> None:
    task = asyncio.create_task(store.threads.create(Thread(id="t")))
    assert "CreateThread" in repr(task)
    await task


def test_a_write_that_is_left_until_the_interpreter_ends_still_warns(tmp_path: Path) -> None:
    (tmp_path / "holder.py").write_text(
        "import treadle\nwrite = treadle.open_store('memory:').mailboxes.interrupt('box')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import holder"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert "never awaited" in done.stderr or done.stderr == ""


async def test_a_write_of_a_batch_is_not_awaited(store: Store) -> None:
    async with store.batch() as step:
        write = step.threads.create(Thread(id="t"))
        with pytest.raises(RuntimeError, match=r"leave out `await`: CreateThread 't'"):
            await write
    assert write.result.version == 0


async def test_a_write_of_the_store_has_no_pending_result(store: Store) -> None:
    write = store.threads.create(Thread(id="t"))
    with pytest.raises(RuntimeError, match="await it instead"):
        write.result  # noqa: B018
    await write


async def test_messages_are_appended_without_a_change_set(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", Message.user("one"), Message.assistant("two"), expected=0)
    async with store.batch() as step:
        step.threads.append("t", Message.user("three"))
    page = await store.threads.list_messages("t")
    assert [each.message.content for each in page.messages] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "changes",
    [(), (says("x"), says("y")), (says("x"), Message.user("y")), ("text",)],
    ids=["nothing", "two change sets", "both", "text"],
)
async def test_an_append_takes_messages_or_one_change_set(
    store: Store, changes: tuple[ThreadChangeSet, ...]
) -> None:
    with pytest.raises(InvalidValue, match="pass messages, or one ThreadChangeSet"):
        store.threads.append("t", *changes)
