"""Handlers that are plain functions: each call runs in a thread of the operating system."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from treadle.worker.delivery import Delivery
from treadle.worker.lease import Lease

T = TypeVar("T")

_NOTICE_S = 1.0
"""How long a function may take to notice that the worker stops, in seconds."""


async def call_blocking(function: Callable[[Delivery], T], delivery: Delivery, lease: Lease) -> T:
    """Call `function(delivery)` in a thread and give its result.

    A thread cannot be ended from outside. When the caller is cancelled `delivery.cancelled` turns
    true; if the lease is lost, the thread is then waited for, so that a worker never has more
    threads than slots; if the worker stops, it is waited for a second and then left alone. The
    threads are daemons: one that never ends does not keep the process alive.
    """
    result = asyncio.wrap_future(_start(function, delivery))
    result.add_done_callback(_note_error)
    try:
        await asyncio.wait({result})
    except asyncio.CancelledError:
        lease.cancelled.set()
        try:
            await asyncio.wait({result}, timeout=None if lease.is_lost else _NOTICE_S)
        finally:
            result.cancel()  # a thread left alone may outlive the loop, and must not call it
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
            promise.set_exception(_carriable(error))
        else:
            promise.set_result(result)

    name = f"treadle-{delivery.entry.entry_id}"
    threading.Thread(target=work, name=name, daemon=True).start()
    return promise


def _carriable(error: BaseException) -> Exception:
    """The error as one that a future can carry and that does not end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"the handler raised {error!r}")
    wrapped.__cause__ = error
    return wrapped


def _note_error(result: "asyncio.Future[T]") -> None:
    """See that an error of a thread nobody waits for any more is not reported as forgotten."""
    if not result.cancelled():
        result.exception()
