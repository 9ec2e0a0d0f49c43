"""Applying a batch to tables: all of its commands, in order, or none."""

from collections.abc import Callable, Iterable
from typing import Any

from treadle.backends.model.tables import Change, Tables
from treadle.core.claims import ClaimRequest, claim
from treadle.core.commands import Commands, Receipt, TimedCommand, describe, name_failure
from treadle.core.mailboxes import MailboxEntry
from treadle.core.read_set import ReadSet
from treadle.errors import TreadleError


def read_set_of(batches: Iterable[Commands]) -> ReadSet:
    """The rows that the batches touch together."""
    read_set = ReadSet()
    for batch in batches:
        for command in batch:
            command.touches(read_set)
    return read_set


def apply_batch(tables: Tables, batch: Commands, clock: int) -> tuple[Receipt, list[Change]]:
    """Apply all commands and return what they changed, or none and raise the failing one's error.

    Args:
        tables: the rows.
        batch: checked commands.
        clock: the present in unix milliseconds, for commands that bring no `now`.
    """
    results: list[Any] = []
    for position, command in enumerate(batch, start=1):
        now = command.now if isinstance(command, TimedCommand) else None
        try:
            results.append(command.apply(tables, clock if now is None else now))
        except TreadleError as error:
            tables.rollback()
            name_failure(error, position, len(batch), describe(command))
            raise
        except BaseException:
            tables.rollback()
            raise
    return Receipt(results=tuple(results)), tables.commit()


def apply_claim(
    tables: Tables, request: ClaimRequest, clock: int, new_token: Callable[[], str]
) -> tuple[tuple[MailboxEntry, ...], list[Change]]:
    """Give due entries to the request's consumer and return what changed.

    Args:
        tables: the rows.
        request: a checked request.
        clock: the present in unix milliseconds, for a request that brings no `now`.
        new_token: makes the token of each claim, which nobody can guess.
    """
    now = clock if request.now is None else request.now
    try:
        entries = claim(tables, request, now, new_token)
    except BaseException:
        tables.rollback()
        raise
    return entries, tables.commit()
