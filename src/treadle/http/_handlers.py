"""Handlers of operations that are one query or one command of the store."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.responses import Response

from treadle.core.commands import Command
from treadle.errors import NotFound
from treadle.http._call import Call
from treadle.http._output import answer
from treadle.http._responses import no_content

Handle: TypeAlias = Callable[[Call], Awaitable[Response]]


async def ask(call: Call) -> Response:
    """Answer the query of the call."""
    (found,) = await call.store.read(call.query)
    return answer(call, found)


def ask_for(kind: str, parameter: str) -> Handle:
    """Return a handler that answers a query whose answer may be None.

    Args:
        kind: the kind of what is asked for.
        parameter: the parameter of the path that names it.
    """

    async def handle(call: Call) -> Response:
        (found,) = await call.store.read(call.query)
        if found is None:
            raise NotFound(kind, call.ids[parameter])
        return answer(call, found)

    return handle


async def write(call: Call) -> Response:
    """Commit the command in the body, and answer its result."""
    result = await commit(call, call.body)
    return no_content() if result is None else answer(call, result)


def write_to(kind: str, parameter: str) -> Handle:
    """Return a handler that commits a command whose result is None if something does not exist."""

    async def handle(call: Call) -> Response:
        result = await commit(call, call.body)
        if result is None:
            raise NotFound(kind, call.ids[parameter])
        return answer(call, result)

    return handle


async def commit(call: Call, command: Command[Any]) -> Any:
    """Commit a command, and return its result."""
    return (await call.store.commit((command,))).results[0]
