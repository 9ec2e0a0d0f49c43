"""What checks are made of: a comparison that says both sides, and a refusal that is due."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice
from typing import Generic, TypeVar

from weft.core.codec import Model, to_plain
from weft.testing.exact import differences

ErrorT = TypeVar("ErrorT", bound=BaseException)


def expect(found: object, expected: object) -> None:
    """Fail, and say both, unless what was found is what was expected."""
    if found != expected:
        raise AssertionError(_compared(found, expected))


def _compared(found: object, expected: object) -> str:
    """Both, or where they differ if they are much alike."""
    if isinstance(found, Model) and isinstance(expected, Model):
        found, expected = to_plain(found), to_plain(expected)
    if isinstance(found, dict) and isinstance(expected, dict):
        return "; ".join(islice(differences(found, expected), 5))
    return f"found {found!r}, where {expected!r} was due"


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
