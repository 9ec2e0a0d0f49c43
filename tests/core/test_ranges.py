"""Ranges: what no field takes is refused by its place, in every command, query and record.

The fields are found by walking the types. The suite tries what they do take, on every backend.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.inspect import AnyType, BoolType, FloatType, IntType, LiteralType, Metadata, StrType

from treadle import InvalidId, InvalidValue
from treadle.core.claims import ClaimRequest
from treadle.core.codec import checked
from treadle.core.commands import Command, check_command
from treadle.core.ids import check_ids
from treadle.core.limits import (
    DEPTH,
    ID_BYTES,
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
)
from treadle.core.queries import Query, check_query
from treadle.testing._harness.extremes import Leaf, concrete, filled

HUGE = 10**5_000
"""Python refuses to write out an integer of so many digits, even in an error's message."""


def nested(depth: int, inner: Any = 1) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


NO_JSON: dict[str, Any] = {
    "a lone surrogate": "\ud800",
    "a lone surrogate as a key": {"\ud800": 1},
    "5,000 digits": HUGE,
    "5,000 digits below zero": -HUGE,
    "5,000 digits inside": {"a": [HUGE]},
    "5,000 digits as a key": {HUGE: 1},
    "just above 64 bits": LARGEST_INTEGER + 1,
    "just below 64 bits": SMALLEST_INTEGER - 1,
    "NaN": math.nan,
    "infinity": math.inf,
    "too deep": nested(DEPTH + 1),
    "much too deep": nested(100_000),
    "a tuple": (1,),
}
NO_TEXT: dict[str, Any] = {
    "a lone surrogate": "\ud800",
    "a long text with one": "x" * 2**20 + "\udfff",
    "5,000 digits": HUGE,
    "deep": nested(100_000),
}
NO_ID: dict[str, Any] = {
    **NO_TEXT,
    "NUL": "a\x00b",
    "a long one": "x" * (ID_BYTES + 1),
    "64 kB": "é" * 32_768,
}


def refused_by(leaf: Leaf) -> dict[str, Any]:
    """What a field must refuse."""
    match leaf:
        case Metadata(extra={"id": _}):
            return NO_ID
        case Metadata():
            return NO_TEXT | {"NUL": "a\x00b", "the separator": "a\x1fb"}
        case StrType(max_length=most):
            return NO_TEXT if most is None else NO_TEXT | {"a long one": "x" * (most + 1)}
        case AnyType():
            return NO_JSON
        case LiteralType():
            return NO_TEXT | {"another": "nonsense", "empty": ""}
        case IntType(ge=least, le=most):
            low = SMALLEST_INTEGER if least is None else least
            high = LARGEST_INTEGER if most is None else most
            outside = {"below": low - 1, "above": high + 1, "5,000 digits": HUGE, "less": -HUGE}
            return outside | {
                "a float": 1.0,
                "NaN": math.nan,
                "true": True,
                "deep": NO_TEXT["deep"],
            }
        case BoolType():
            return NO_TEXT | {"one": 1, "true as text": "true", "NULL": None}
        case FloatType():
            return {"NaN": math.nan, "infinity": -math.inf, "5,000 digits": HUGE, "text": "1"}
        case _:
            raise AssertionError(f"a field of a new kind: {leaf}")


def plain_value(path: str, leaf: Leaf) -> Any:
    """What a field takes."""
    if path in CHOSEN:
        return CHOSEN[path]
    match leaf:
        case LiteralType(values=values):
            return values[0]
        case IntType():
            return 1
        case BoolType():
            return True
        case FloatType():
            return 1.5
        case AnyType():
            return {"a": None}
        case _:
            return "x"


CHOSEN: dict[str, Any] = {
    "enqueue.entry.status": "queued",
    "enqueue.entry.claim_token": None,
    "enqueue.entry.claimed_by": None,
    "enqueue.entry.lease_until": None,
    "listThreadSummaries.after": None,
    "appendThread.changes.truncated_to": None,
    "truncateThread.keep": None,
    "send.due_at": None,
    "putDocument.expires_in_ms": None,
    "createDocument.expires_in_ms": None,
    "ensureDocument.expires_in_ms": None,
    "touchDocument.expires_in_ms": None,
    "searchEntries.after": None,
    "listMailboxSummaries.after": None,
    "searchRuns.after": None,
}
"""A new entry is not claimed, no text is a cursor, only a truncation cuts, by one number, and a
document expires at one time.
"""


OPTIONAL_FLAGS = {"searchRuns.asks"}
"""Flags for which None is a third answer."""


def check_request(request: ClaimRequest) -> ClaimRequest:
    check_ids(request)
    return checked(request, "claimRequest")


def check_any_query(query: Query[Any]) -> Query[Any]:
    name = type(query).__name__
    return check_query(query, name[0].lower() + name[1:])


CHECKS: dict[type[Any], Callable[[Any], Any]] = {
    **dict.fromkeys(concrete(Command), check_command),
    **dict.fromkeys(concrete(Query), check_any_query),
    ClaimRequest: check_request,
}


def leaves(kind: type[Any]) -> Iterator[tuple[str, Leaf]]:
    found: list[tuple[str, Leaf]] = []

    def note(path: str, leaf: Leaf) -> Any:
        found.append((path, leaf))
        return plain_value(path, leaf)

    CHECKS[kind](filled(kind, note))
    yield from found


def each_field() -> Iterator[Any]:
    """Every field; those of a record only in the first command that carries it."""
    known: set[tuple[str, ...]] = set()
    for kind in CHECKS:
        for path, leaf in leaves(kind):
            field = tuple(path.split(".")[-2:])
            if field not in known:
                known.add(field)
                yield pytest.param(kind, path, leaf, id=path)


@pytest.mark.parametrize(("kind", "path", "leaf"), list(each_field()))
def test_a_field_refuses_what_is_out_of_its_range_by_its_place(
    kind: type[Any], path: str, leaf: Leaf
) -> None:
    for case, value in refused_by(leaf).items():
        if value is None and path in OPTIONAL_FLAGS:
            continue

        def choose(at: str, other: Leaf, bad: Any = value) -> Any:
            return bad if at == path else plain_value(at, other)

        try:
            CHECKS[kind](filled(kind, choose))
        except InvalidId as error:
            assert error.value is value, case
        except InvalidValue as error:
            assert error.where.startswith(path), case
            assert len(str(error)) < 1_000, case
        else:
            raise AssertionError(f"{path} takes {case}")


def test_every_command_and_query_is_tried() -> None:
    assert len(CHECKS) >= 35
    assert {kind.__name__ for kind in CHECKS} >= {"RestoreEntry", "ListRuns", "Hold", "LoadThread"}
