"""Conversations into a store: many threads in a commit, several commits under way."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Literal, TypeAlias

import msgspec

from treadle.cli.chat.lines import Bad, Good, Line, Repeated
from treadle.cli.chat.messages import says_the_same
from treadle.cli.in_flight import each
from treadle.cli.terminal.failure import describe
from treadle.core.codec import Json
from treadle.core.commands import AppendThread, Command, CreateThread
from treadle.core.threads import Thread, ThreadChangeSet, ThreadHead
from treadle.errors import (
    AlreadyExists,
    InvalidValue,
    NotFound,
    StoreClosed,
    StoreUnavailable,
    TreadleError,
    VersionConflict,
)
from treadle.store.store import Store

_CHUNK_LINES = 64
_CHUNK_BYTES = 1 << 20
"""A commit is closed at whichever comes first, so that its size is bounded."""

_IN_FLIGHT = 4
_ATTEMPTS = 3
"""How often a thread that somebody else is writing to is looked at anew."""


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    size: int


class Stored(_Outcome, frozen=True, kw_only=True):
    """A line that is in the store now, and how many messages it brought."""

    kind: Literal["created", "extended", "unchanged"]
    messages: int = 0


class Failed(_Outcome, frozen=True, kw_only=True):
    """A line that was left out, and why."""

    reason: str


Outcome: TypeAlias = Stored | Failed


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did."""

    created: int = 0
    extended: int = 0
    unchanged: int = 0
    messages: int = 0
    errors: tuple[Failed, ...] = ()

    def plus(self, outcome: Outcome) -> "Summary":
        """The summary with one more line."""
        if isinstance(outcome, Failed):
            return msgspec.structs.replace(self, errors=(*self.errors, outcome))
        counted = {outcome.kind: getattr(self, outcome.kind) + 1}
        return msgspec.structs.replace(self, messages=self.messages + outcome.messages, **counted)

    def as_json(self) -> dict[str, Json]:
        """What `treadle import --json` writes."""
        return {
            "created": self.created,
            "extended": self.extended,
            "unchanged": self.unchanged,
            "failed": len(self.errors),
            "messages": self.messages,
            "errors": [{"line": error.number, "reason": error.reason} for error in self.errors],
        }


def plan(thread: Thread, stored: ThreadHead | None) -> Command | None:
    """What brings a store's thread to what the file says; None if nothing is missing.

    Raises:
        InvalidValue: the stored conversation is another one.
    """
    if stored is None:
        return CreateThread(thread=thread)
    present = stored.thread.messages
    for position, (ours, theirs) in enumerate(zip(present, thread.messages, strict=False)):
        if not says_the_same(ours, theirs):
            reason = f"the stored thread {thread.id!r} has another message there; use another id"
            raise InvalidValue(f"messages[{position}]", reason)
    missing = thread.messages[len(present) :]
    if not missing:
        return None
    known = {message.id for message in present}
    taken = [message.id for message in missing if message.id in known]
    if taken:
        reason = f"the stored thread {thread.id!r} has a message {taken[0]!r} already"
        raise InvalidValue("messages", reason)
    changes = ThreadChangeSet(messages=missing)
    return AppendThread(thread_id=thread.id, changes=changes, expected=stored.version)


async def load_lines(
    store: Store, lines: Iterable[Line], is_ready: Callable[[], bool] = lambda: True
) -> AsyncGenerator[Outcome]:
    """Bring lines into the store; their outcomes come in the order of the lines.

    While the next line would have to be waited for, what was read is committed.

    Raises:
        StoreUnavailable: the store is away; what was acknowledged is in.
    """

    async def load(chunk: list[Line]) -> list[Outcome]:
        return await _load_chunk(store, chunk)

    async with aclosing(each(load, _chunks(lines, is_ready), _IN_FLIGHT, is_ready)) as chunks:
        async for outcomes in chunks:
            for outcome in outcomes:
                yield outcome


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


async def _load_chunk(store: Store, chunk: list[Line]) -> list[Outcome]:
    """All of a chunk in one commit; if that is refused, each of its lines alone."""
    commands: list[Command] = []
    outcomes: list[Outcome] = []
    for line in chunk:
        try:
            command = await _plan_line(store, line)
        except (StoreUnavailable, StoreClosed):
            raise
        except TreadleError as error:
            outcomes.append(_failed(line, error))
            continue
        commands += [command] if command else []
        outcomes.append(_outcome(line, command))
    if not commands:
        return outcomes
    try:
        await store.commit(tuple(commands))
    except (StoreUnavailable, StoreClosed):
        raise
    except TreadleError:
        return [await _load_alone(store, line) for line in chunk]
    return outcomes


async def _load_alone(store: Store, line: Line) -> Outcome:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            command = await _plan_line(store, line)
            if command is not None:
                await store.commit((command,))
        except (StoreUnavailable, StoreClosed):
            raise
        except (AlreadyExists, NotFound, VersionConflict) as error:
            if attempt == _ATTEMPTS:
                return _failed(line, error)
        except TreadleError as error:
            return _failed(line, error)
        else:
            return _outcome(line, command)
    raise AssertionError("unreachable")


async def _plan_line(store: Store, line: Line) -> Command | None:
    if not isinstance(line, Good):
        return None
    return plan(line.thread, await store.threads.load(line.thread.id))


def _outcome(line: Line, command: Command | None) -> Outcome:
    number, size = line.number, line.size
    match line, command:
        case Bad(reason=reason), _:
            return Failed(number=number, size=size, reason=reason)
        case Repeated(), _:
            return Stored(number=number, size=size, kind="unchanged")
        case Good(), CreateThread(thread=thread):
            count = len(thread.messages)
            return Stored(number=number, size=size, kind="created", messages=count)
        case Good(), AppendThread(changes=changes):
            count = len(changes.messages)
            return Stored(number=number, size=size, kind="extended", messages=count)
        case _:
            return Stored(number=number, size=size, kind="unchanged")


def _failed(line: Line, error: TreadleError) -> Failed:
    return Failed(number=line.number, size=line.size, reason=describe(error))
