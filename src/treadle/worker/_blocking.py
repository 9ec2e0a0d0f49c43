"""Handlers that are plain functions: each call runs in a thread of its own."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from treadle.worker._attempt import Attempt
from treadle.worker._clock import WorkerClock, wait
from treadle.worker._delivery import Delivery
from treadle.worker._failures import failure_of

T = TypeVar("T")

_NOTICE_S = 1.0
"""The time that a function gets to notice that the worker stops, in seconds."""


async def call_blocking(
    function: Callable[[Delivery], T], delivery: Delivery, attempt: Attempt, clock: WorkerClock
) -> T:
    """Call `function(delivery)` in a thread and return its result.

    A thread cannot be ended from outside. When the caller is cancelled, `delivery.cancelled`
    becomes true. If a claim is lost, the thread is then awaited, so that a worker never has more
    threads than slots. If the worker stops, the thread is awaited for a second and then left
    running. The threads are daemons: one that never ends does not keep the process alive.
    """
    result = asyncio.wrap_future(_start(function, delivery))
    result.add_done_callback(_retrieve_error)
    try:
        await asyncio.wait({result})
    except asyncio.CancelledError:
        attempt.is_cancelled = True
        try:
            if attempt.loss is not None:
                await asyncio.wait({result})
            else:
                await wait(clock, {result}, _NOTICE_S)
        finally:
            # a thread that is left running may outlive the event loop, and must not call it
            result.cancel()
        raise
    return result.result()


def _start(function: Callable[[Delivery], T], delivery: Delivery) -> "Future[T]":
    promise: Future[T] = Future()
    promise.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(function, delivery)
        except BaseException as error:
            promise.set_exception(failure_of(error))
        else:
            promise.set_result(result)

    name = f"treadle-{delivery.entry.entry_id}"
    threading.Thread(target=work, name=name, daemon=True).start()
    return promise


def _retrieve_error(result: "asyncio.Future[T]") -> None:
    """Keep asyncio from logging the error of a thread that nobody awaits."""
    if not result.cancelled():
        result.exception()
