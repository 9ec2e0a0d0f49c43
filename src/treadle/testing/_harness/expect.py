"""What checks are made of: a comparison that says both sides, and a refusal that is due."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

import msgspec
from msgspec.json import encode

from treadle.testing._harness.json_diff import differences

ErrorT = TypeVar("ErrorT", bound=BaseException)


def expect(found: object, expected: object) -> None:
    """Fail, and say both, unless what was found is exactly what was expected: 1 is not 1.0."""
    if isinstance(expected, dict) and encode(found) == encode(expected):
        return  # the contents of a whole store: walking through them takes long
    places = list(islice(differences(found, expected), 5))
    if places:
        is_large = isinstance(expected, dict | msgspec.Struct) and type(found) is type(expected)
        both = f"found {found!r}, where {expected!r} was due"
        raise AssertionError("; ".join(places) if is_large else both)


class Refusal(Generic[ErrorT]):
    """The error of a call that was refused."""

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
        raise AssertionError(f"it was let through, where {kind.__name__} was due")
