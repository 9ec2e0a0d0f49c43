"""Handlers are checked before they get work."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from tests.worker.support import until_idle

from treadle import InvalidValue, Store
from treadle.worker import Delivery, Worker


def no_argument() -> None: ...


def two_arguments(delivery: Delivery, more: object) -> None: ...


async def keyword_only(*, delivery: Delivery) -> None: ...


async def asynchronous_generator(delivery: Delivery) -> AsyncIterator[int]:
    yield 1


def generator(delivery: Delivery) -> Iterator[int]:
    yield 1


class Built:
    """A class is not a handler, though it can be called with a delivery."""

    def __init__(self, delivery: Delivery) -> None: ...


class Method:
    """An object whose method is a handler, and another one that it is called by and is none."""

    async def handle(self, delivery: Delivery) -> None: ...

    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (no_argument, "it must take one argument, the delivery: too many positional"),
        (two_arguments, "it must take one argument, the delivery: missing"),
        (keyword_only, "it must take one argument"),
        (Method(), "it must take one argument"),
        (Method.handle, "missing a required argument: 'delivery'"),
        (asynchronous_generator, "it has a `yield`"),
        (generator, "it has a `yield`"),
        (Built, "it must be a function"),
        (None, "it must be a function"),
    ],
)
async def test_a_handler_that_cannot_work_is_refused_before_it_gets_work(
    store: Store, handler: Any, reason: str
) -> None:
    with pytest.raises(InvalidValue, match=reason):
        Worker(store, handler)


@pytest.mark.parametrize(
    "handler",
    [Method().handle, partial(two_arguments, more=1), lambda delivery: None, print],
    ids=["method", "partial", "lambda", "builtin"],
)
async def test_whatever_can_be_called_with_a_delivery_is_a_handler(
    store: Store, handler: Any
) -> None:
    await store.mailboxes.send("m", 1)
    await until_idle(Worker(store, handler))
    assert (await store.mailboxes.count_entries()).accepted == 1
