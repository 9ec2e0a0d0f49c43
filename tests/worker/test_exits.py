"""Whatever a handler raises or returns, exits included, is an outcome of its entry alone."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from types import CoroutineType
from typing import Any, cast

import pytest
from tests.marks import every_backend
from tests.worker.support import (
    AT_ONCE,
    NewWorker,
    Recorder,
    load,
    return_at_once,
    settle,
    until_idle,
)

import treadle
from treadle import MailboxEntry, MailboxStats, Store
from treadle.worker import DeadLettered, Delivery, Done, Handler, Reject, Worker
from treadle.worker._tasks import Contained

KILLERS = {
    "exits": "os._exit(1)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "crashes": "ctypes.string_at(0)",
}
PROGRAM = """
import asyncio, ctypes, os, signal, sys
import treadle
from treadle.worker import Worker

async def handle(delivery):
    await asyncio.sleep(0.02)
    if delivery.entry.payload == "poison":
        KILL
    await asyncio.sleep(0.2)

async def main():
    async with treadle.open_store(sys.argv[1]) as store:
        worker = Worker(store, handle, max_attempts=2, lease_ms=1_000)
        await worker.run(until_idle=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("store_url", "kill"),
    [
        *(("files", kill) for kill in KILLERS.values()),
        ("sqlite", KILLERS["is killed"]),
        ("postgres", KILLERS["is killed"]),
    ],
    indirect=["store_url"],
)
def test_an_entry_that_ends_its_process_makes_no_dead_letter_of_another(
    store_url: str, kill: str
) -> None:
    program = PROGRAM.replace("KILL", kill)

    async def send() -> None:
        async with treadle.open_store(store_url, migrate=True) as store:
            for number in range(6):
                await store.mailboxes.send(f"m{number}", number)
            await store.mailboxes.send("bad", "poison")

    async def count() -> MailboxStats:
        async with treadle.open_store(store_url) as store:
            return await store.mailboxes.count_entries()

    asyncio.run(send())
    for _ in range(10):
        command = [sys.executable, "-c", program, store_url]
        ended = subprocess.run(command, check=False, timeout=60, stderr=subprocess.DEVNULL)
        if ended.returncode == 0:
            break
    assert asyncio.run(count()) == MailboxStats(accepted=6, dead_letter=1)


class Ends(BaseException):
    """An exception that is no `Exception`."""


async def end_beside_six(
    store: Store, recorder: Recorder, handler: Handler, new_worker: NewWorker
) -> MailboxEntry:
    """Work an entry whose handler ends badly beside six others; return what becomes of it."""
    ending = (await store.mailboxes.send("a", "ends")).entry
    for number in range(6):
        await store.mailboxes.send(f"m{number}", number)
    await until_idle(new_worker(store, handler, max_attempts=2, backoff=AT_ONCE))
    left = await load(store, ending)
    assert (left.status, left.attempt_count) == ("dead_letter", 2)
    assert len(recorder.of(Done)) == 6
    return left


@every_backend
@pytest.mark.parametrize("end", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), Ends()])
async def test_an_exit_of_a_handler_is_a_failure_of_its_entry_alone(
    store: Store, recorder: Recorder, end: BaseException, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == "ends":
            raise end

    left = await end_beside_six(store, recorder, handler, new_worker)
    assert type(end).__name__ in str(left.last_error)


class Unprintable(BaseException):
    def __repr__(self) -> str:
        raise RuntimeError


async def test_an_exit_in_a_thread_that_cannot_be_shown_is_a_failure_of_its_entry(
    store: Store, new_worker: NewWorker
) -> None:
    def handler(delivery: Delivery) -> None:
        raise Unprintable

    sent = (await store.mailboxes.send("m", 1)).entry
    await until_idle(new_worker(store, handler, max_attempts=1))
    left = await load(store, sent)
    assert left.status == "dead_letter"
    assert left.last_error == "RuntimeError: the handler raised Unprintable"


async def leave(end: BaseException) -> None:
    await asyncio.sleep(0)
    raise end


async def in_a_group(end: BaseException) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave(end))


async def in_a_task_of_a_task(end: BaseException) -> None:
    await asyncio.create_task(in_a_group(end))


TASKS: dict[str, Callable[[BaseException], Awaitable[object]]] = {
    "gather": lambda end: asyncio.gather(leave(end)),
    "a task": lambda end: asyncio.create_task(leave(end)),
    "a group": in_a_group,
    "a task of a task": in_a_task_of_a_task,
    "a timeout": lambda end: asyncio.wait_for(leave(end), 5),
}


@every_backend
@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("start", TASKS.values(), ids=TASKS)
async def test_an_exit_of_a_task_of_a_handler_is_a_failure_of_its_entry_alone(
    store: Store,
    recorder: Recorder,
    start: Callable[[BaseException], Awaitable[object]],
    end: BaseException,
    new_worker: NewWorker,
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == "ends":
            await start(end)
        else:
            await asyncio.sleep(0.01)

    left = await end_beside_six(store, recorder, handler, new_worker)
    assert f"RuntimeError: the handler raised {end!r}" in str(left.last_error)
    assert asyncio.get_running_loop().get_task_factory() is None


async def test_tasks_of_others_are_made_by_the_factory_of_the_loop(
    store: Store, new_worker: NewWorker
) -> None:
    made: list[object] = []

    def make(loop: Any, work: Any, **options: Any) -> Any:
        made.append(type(work))
        return asyncio.Task(work, loop=loop, **options)

    async def own() -> str:
        return "done"

    async def handler(delivery: Delivery) -> None:
        assert await asyncio.create_task(own()) == "done"

    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    try:
        await store.mailboxes.send("m", 1)
        await until_idle(new_worker(store, handler))
        assert loop.get_task_factory() is make
    finally:
        loop.set_task_factory(None)
    assert CoroutineType in made  # the handler
    assert made.count(Contained) == 1  # its task


async def test_workers_that_take_turns_leave_nothing_on_the_loop(
    store: Store, new_worker: NewWorker
) -> None:
    loop = asyncio.get_running_loop()
    running: list[tuple[Worker, asyncio.Task[None]]] = []
    factories: set[object] = set()
    for _ in range(20):  # each one begins before the last one ends
        worker = new_worker(store, return_at_once)
        running.append((worker, asyncio.create_task(worker.run())))
        await settle()
        factories.add(loop.get_task_factory())
        if len(running) == 2:
            earlier, task = running.pop(0)
            earlier.stop()
            await task
    [(last, task)] = running
    last.stop()
    await task
    assert loop.get_task_factory() is None
    assert len(factories) == 1


def test_ctrl_c_in_a_handler_is_the_process_s_own(new_worker: NewWorker) -> None:
    async def handler(delivery: Delivery) -> None:
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        async with treadle.open_store("memory:") as store:
            await store.mailboxes.send("m", 1)
            await new_worker(store, handler).run()

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(main())
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()


@pytest.mark.parametrize(
    "end", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), Ends()]
)
async def test_an_exit_of_the_hook_does_not_end_the_worker(
    store: Store, end: BaseException, new_worker: NewWorker
) -> None:
    def leave(event: object) -> None:
        raise end

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, return_at_once, on_event=leave))
    assert (await store.mailboxes.count_entries()).accepted == 1


class Leaves(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise SystemExit(1)


@pytest.mark.parametrize("blocking", [True, False])
async def test_an_error_whose_text_cannot_be_had_is_a_failure(
    store: Store, recorder: Recorder, blocking: bool, new_worker: NewWorker
) -> None:
    def fail(delivery: Delivery) -> None:
        raise Leaves

    async def fail_async(delivery: Delivery) -> None:
        raise Leaves

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, fail if blocking else fail_async, max_attempts=1))
    [dead] = recorder.of(DeadLettered)
    assert dead.error == "Leaves: (its message failed with SystemExit)"


def nested(levels: int) -> Exception:
    """An error of a task in a group in a group …, as of an agent that asks itself."""
    error: Exception = ValueError("no")
    for _ in range(levels):
        error = ExceptionGroup("group", [error])
    return error


def syntax_error(**parts: Any) -> Exception:
    """An error whose parts are not what a traceback needs."""
    error = SyntaxError("no", ("made.py", 1, 1, "line"))
    for name, part in parts.items():
        setattr(error, name, part)
    return error


ODD = {
    "groups in groups": (nested(2_000), "[…]]"),
    "a line that is no text": (syntax_error(text=7), "SyntaxError: no"),
    "a position that is no number": (syntax_error(offset="first"), "SyntaxError: no"),
}


@pytest.mark.parametrize(("error", "text"), ODD.values(), ids=ODD)
async def test_an_error_that_cannot_be_shown_is_a_failure(
    store: Store, recorder: Recorder, error: Exception, text: str, new_worker: NewWorker
) -> None:
    async def fail(delivery: Delivery) -> None:
        raise error

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, fail, max_attempts=1))
    [dead] = recorder.of(DeadLettered)
    assert text in dead.error


async def test_a_handler_of_no_module_may_fail(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    scope: dict[str, Any] = {"__name__": None}
    exec("async def fail(delivery): raise ValueError('no')", scope)  # noqa: S102
    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, scope["fail"], max_attempts=1))
    [dead] = recorder.of(DeadLettered)
    assert dead.error == "ValueError: no"


@pytest.mark.parametrize("end", [SystemExit(1), KeyboardInterrupt(), StopIteration(), Ends()])
async def test_whatever_a_plain_function_raises_is_a_failure_of_its_entry(
    store: Store, recorder: Recorder, end: BaseException, new_worker: NewWorker
) -> None:
    def handler(delivery: Delivery) -> None:
        raise end

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, handler, max_attempts=1))
    [dead] = recorder.of(DeadLettered)
    assert type(end).__name__ in dead.error


async def test_a_generator_that_a_handler_returns_is_a_failure_as_nothing_runs_it(
    store: Store, recorder: Recorder, new_worker: NewWorker
) -> None:
    async def steps() -> AsyncIterator[int]:
        yield 1

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, cast("Any", lambda _: steps()), max_attempts=1))
    [dead] = recorder.of(DeadLettered)
    assert dead.error == "TypeError: the handler returned a generator, and nothing has run it"


@pytest.mark.parametrize("value", [0, False, "done", object(), Reject("no"), KeyError])
async def test_a_value_that_a_handler_returns_means_nothing(
    store: Store, recorder: Recorder, value: object, new_worker: NewWorker
) -> None:
    async def handler(delivery: Delivery) -> object:
        return value

    await store.mailboxes.send("m", 1)
    await until_idle(new_worker(store, cast("Any", handler)))
    assert recorder.names() == ["Claimed", "Done"]
