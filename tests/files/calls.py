"""Calls of an engine without a backend: batches, claims, and the whole state of a store."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from treadle.backends._deadline import Patience
from treadle.backends._group_thread import Failure
from treadle.backends.files._engine import Call, Engine, ReadCall, WriteCall
from treadle.backends.files._tables import FileTables
from treadle.backends.model.apply import apply_batch, apply_claim
from treadle.backends.model.tables import RowTable
from treadle.clock import new_token
from treadle.core.claims import ClaimRequest
from treadle.core.codec import encode
from treadle.core.commands import AnyCommand, check_batch
from treadle.core.document_keys import KeyRange
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import CorruptRecord

State = dict[str, bytes]


def batch_of(*commands: AnyCommand) -> WriteCall:
    return WriteCall(partial(apply_batch, batch=check_batch(commands)))


def claim_of(request: ClaimRequest) -> WriteCall:
    return WriteCall(partial(apply_claim, request=request, new_token=new_token))


def attempt(engine: Engine, call: Call) -> Any:
    """Return the result of a call, or its `Failure`."""
    [outcome] = engine.run([call], Patience.of(60))
    return outcome


def do(engine: Engine, call: Call) -> Any:
    """Return the result of a call, which must succeed."""
    outcome = attempt(engine, call)
    assert not isinstance(outcome, Failure), outcome.error
    return outcome


def commit(engine: Engine, *commands: AnyCommand) -> None:
    do(engine, batch_of(*commands))


def claim(engine: Engine, request: ClaimRequest) -> tuple[MailboxEntry, ...]:
    entries: tuple[MailboxEntry, ...] = do(engine, claim_of(request))
    return entries


def read_state(engine: Engine) -> State:
    """Return every row of the store, encoded."""
    state: State = do(engine, ReadCall(_encode_rows))
    return state


def read_readable(engine: Engine) -> State:
    """Return every row of the store that can be read, encoded."""
    state: State = do(engine, ReadCall(_encode_readable_rows))
    return state


def _encode_rows(tables: FileTables) -> State:
    return {f"{kind} {key}": read() for kind, key, read in _rows(tables)}


def _encode_readable_rows(tables: FileTables) -> State:
    state: State = {}
    for kind, key, read in _rows(tables):
        with suppress(CorruptRecord):
            state[f"{kind} {key}"] = read()
    return state


def _rows(tables: FileTables) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    yield from (("thread", key, partial(_encode_thread, tables, key)) for key in tables.threads)
    yield from (("run", key, partial(_encode_row, tables.runs, key)) for key in tables.runs)
    yield from (("entry", key, partial(_encode_row, tables.entries, key)) for key in tables.entries)
    for key in tables.mailboxes:
        yield "mailbox", key, partial(_encode_row, tables.mailboxes, key)
    for name in tables.find_collections(""):
        for document in tables.find_documents(KeyRange(name)):
            yield "document", f"{name} {document.key}", partial(encode, document)


def _encode_thread(tables: FileTables, key: str) -> bytes:
    return encode(tables.find_whole(key), pretty=True)


def _encode_row(table: RowTable[Any], key: str) -> bytes:
    return encode(table[key], pretty=True)
