"""The two assertions of checks: a comparison that shows both sides, and an expected error."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

import msgspec
from msgspec.json import encode

from treadle.testing._harness.json_diff import differences

ErrorT = TypeVar("ErrorT", bound=BaseException)


def expect(found: object, expected: object) -> None:
    """Fail and show both values unless they are exactly the same: 1 is not 1.0."""
    if isinstance(expected, dict) and encode(found) == encode(expected):
        return  # the contents of a whole store take long to compare item by item
    paths = list(islice(differences(found, expected), 5))
    if paths:
        is_large = isinstance(expected, dict | msgspec.Struct) and type(found) is type(expected)
        both = f"found {found!r}, where {expected!r} was due"
        raise AssertionError("; ".join(paths) if is_large else both)


class Refusal(Generic[ErrorT]):
    """The error that the block raised."""

    value: ErrorT


@contextmanager
def refused(kind: type[ErrorT]) -> Generator[Refusal[ErrorT], None, None]:
    """Fail unless the block raises an error of this `kind`."""
    refusal: Refusal[ErrorT] = Refusal()
    try:
        yield refusal
    except kind as error:
        refusal.value = error
    else:
        raise AssertionError(f"it raised nothing, where {kind.__name__} was due")
