"""Calls of an engine without a backend: batches, claims, and the whole state of a store."""

from functools import partial
from typing import Any

from treadle.backends._group_thread import Failure
from treadle.backends.files._engine import Call, Engine, ReadCall, WriteCall
from treadle.backends.files._tables import FileTables
from treadle.backends.model.apply import apply_batch, apply_claim
from treadle.clock import new_token
from treadle.core.claims import ClaimRequest
from treadle.core.codec import encode
from treadle.core.commands import AnyCommand, check_batch
from treadle.core.mailboxes import MailboxEntry

State = dict[str, bytes]


def batch_of(*commands: AnyCommand) -> WriteCall:
    return WriteCall(partial(apply_batch, batch=check_batch(commands)))


def claim_of(request: ClaimRequest) -> WriteCall:
    return WriteCall(partial(apply_claim, request=request, new_token=new_token))


def attempt(engine: Engine, call: Call) -> Any:
    """Return the result of a call, or its `Failure`."""
    [outcome] = engine.run([call])
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


def _encode_rows(tables: FileTables) -> State:
    state: State = {f"thread {key}": encode(row.head) for key, row in tables.threads.items()}
    state |= {f"run {key}": encode(row) for key, row in tables.runs.items()}
    state |= {f"entry {key}": encode(row) for key, row in tables.entries.items()}
    state |= {f"mailbox {key}": encode(row) for key, row in tables.mailboxes.items()}
    return state
