"""Conversations imported into a store: many threads in a commit, several commits at a time."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Literal, TypeAlias

import msgspec

from treadle.cli.concurrency import map_in_order
from treadle.cli.json_lines import Bad, Good, Line, Repeated
from treadle.cli.terminal.failure import describe
from treadle.core.codec import Json
from treadle.core.commands import AnyCommand
from treadle.core.thread_commands import AppendThread, CreateThread, UpdateThread
from treadle.core.threads import Thread
from treadle.errors import (
    AlreadyExists,
    InvalidValue,
    NotFound,
    StoreClosed,
    StoreUnavailable,
    TreadleError,
    VersionConflict,
)
from treadle.integrations.openai_chat import plan_import
from treadle.store.store import Store

# A commit takes as many lines as it reaches first: the size of a commit stays bounded.
_CHUNK_LINES = 64
_CHUNK_BYTES = 1 << 20

_CONCURRENT_COMMITS = 4
_ATTEMPTS = 3
"""How often to plan the import of a thread that somebody else is writing to."""


class _LineResult(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    size: int


class Stored(_LineResult, frozen=True, kw_only=True):
    """A line whose conversation is in the store, and how many of its messages are new."""

    kind: Literal["created", "extended", "unchanged"]
    messages: int = 0


class Failed(_LineResult, frozen=True, kw_only=True):
    """A line that was not imported, and the reason."""

    reason: str


ImportResult: TypeAlias = Stored | Failed


class _Again(_LineResult, frozen=True, kw_only=True):
    """A line that repeats the line `first`, whose outcome may not be known yet."""

    first: int


class Summary:
    """The counts of an import, and its errors."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.messages = 0
        self.errors: list[Failed] = []

    def add(self, result: ImportResult) -> None:
        """Count one more line."""
        if isinstance(result, Failed):
            self.errors.append(result)
            return
        self.kinds[result.kind] += 1
        self.messages += result.messages

    def as_json(self) -> dict[str, Json]:
        """Return the document that `treadle import --json` writes."""
        return {
            "created": self.kinds["created"],
            "extended": self.kinds["extended"],
            "unchanged": self.kinds["unchanged"],
            "failed": len(self.errors),
            "messages": self.messages,
            "errors": [{"line": error.number, "reason": error.reason} for error in self.errors],
        }


async def load_lines(
    store: Store,
    lines: Iterable[Line],
    is_ready: Callable[[], bool] = lambda: True,
    *,
    owner: str | None = None,
) -> AsyncGenerator[ImportResult]:
    """Import lines into the store, and yield their results in the order of the lines.

    Args:
        store: an open store.
        lines: from `read_lines`.
        is_ready: returns False while the next line is not there yet. Then the lines read so far
            are committed.
        owner: who owns the threads that have no owner, those that are stored, too.

    Raises:
        StoreUnavailable: the store is not available; the lines that were yielded are in it.
    """

    async def load(chunk: list[Line]) -> list[ImportResult | _Again]:
        return await _load_chunk(store, chunk, owner)

    failed: dict[int, Failed] = {}
    imported = map_in_order(load, _chunks(lines, is_ready), _CONCURRENT_COMMITS, is_ready)
    async with aclosing(imported) as chunks:
        async for results in chunks:
            for outcome in results:
                result = _resolved(outcome, failed)
                if isinstance(result, Failed):
                    failed[result.number] = result
                yield result


def _resolved(outcome: ImportResult | _Again, failed: dict[int, Failed]) -> ImportResult:
    """Return the result of a line; one that repeats a line fails as that did."""
    if not isinstance(outcome, _Again):
        return outcome
    if outcome.first in failed:
        return msgspec.structs.replace(
            failed[outcome.first], number=outcome.number, size=outcome.size
        )
    return Stored(number=outcome.number, size=outcome.size, kind="unchanged")


def _chunks(lines: Iterable[Line], is_ready: Callable[[], bool]) -> Iterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += line.size
        if len(chunk) == _CHUNK_LINES or size >= _CHUNK_BYTES or not is_ready():
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


async def _load_chunk(
    store: Store, chunk: list[Line], owner: str | None
) -> list[ImportResult | _Again]:
    """Import all lines in one commit; if the store refuses it, each line by itself."""
    commands: list[AnyCommand] = []
    results: list[ImportResult | _Again] = []
    for line in chunk:
        try:
            planned = await _plan_line(store, line, owner)
        except (StoreUnavailable, StoreClosed):
            raise
        except TreadleError as error:
            results.append(_failed(line, error))
            continue
        commands += planned
        results.append(_result(line, planned))
    if not commands:
        return results
    try:
        await store.commit(tuple(commands))
    except (StoreUnavailable, StoreClosed):
        raise
    except TreadleError:
        return [await _load_line(store, line, owner) for line in chunk]
    return results


async def _load_line(store: Store, line: Line, owner: str | None) -> ImportResult | _Again:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            planned = await _plan_line(store, line, owner)
            if planned:
                await store.commit(planned)
        except (StoreUnavailable, StoreClosed):
            raise
        except (AlreadyExists, NotFound, VersionConflict) as error:
            if attempt == _ATTEMPTS:
                return _failed(line, error)
        except TreadleError as error:
            return _failed(line, error)
        else:
            return _result(line, planned)
    raise AssertionError("unreachable")


async def _plan_line(store: Store, line: Line, owner: str | None) -> tuple[AnyCommand, ...]:
    if not isinstance(line, Good):
        return ()
    head = line.head
    stored = await store.threads.load(head.thread.id)
    if owner is None:
        return plan_import(head, stored)
    _check_owner(head.thread, owner)
    if stored is None:
        thread = msgspec.structs.replace(head.thread, resource_id=owner)
        return plan_import(msgspec.structs.replace(head, thread=thread), None)
    _check_owner(stored.thread, owner)
    planned = plan_import(head, stored)
    if stored.thread.resource_id is not None:
        return planned
    return (*planned, UpdateThread(thread_id=head.thread.id, resource_id=owner))


def _check_owner(thread: Thread, owner: str) -> None:
    if thread.resource_id not in (None, owner):
        reason = f"the thread {thread.id!r} has another owner; leave out --owner"
        raise InvalidValue("resource_id", reason)


def _result(line: Line, planned: tuple[AnyCommand, ...]) -> ImportResult | _Again:
    number, size = line.number, line.size
    match line, planned:
        case Bad(reason=reason), _:
            return Failed(number=number, size=size, reason=reason)
        case Repeated(first=first), _:
            return _Again(number=number, size=size, first=first)
        case Good(), (CreateThread(thread=thread), *_):
            count = len(thread.messages)
            return Stored(number=number, size=size, kind="created", messages=count)
        case Good(), (AppendThread(), *_):
            appends = (each for each in planned if isinstance(each, AppendThread))
            count = sum(len(each.changes.messages) for each in appends)
            return Stored(number=number, size=size, kind="extended", messages=count)
        case _:
            return Stored(number=number, size=size, kind="unchanged")


def _failed(line: Line, error: TreadleError) -> Failed:
    return Failed(number=line.number, size=line.size, reason=describe(error))
