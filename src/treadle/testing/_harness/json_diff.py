"""Compares values exactly, as JSON: 1, 1.0 and true differ, and so do 0.0 and -0.0."""

from collections.abc import Iterator
from typing import Any

import msgspec


def differences(left: Any, right: Any, *, ordered: bool = False, at: str = "$") -> Iterator[str]:
    """List the paths at which two values differ; with `ordered`, the order of keys counts too.

    Both are JSON, or models, tuples and other values that `==` compares.
    """
    if type(left) is not type(right):
        yield f"{at}: {left!r} is not {right!r}"
    elif isinstance(left, dict):
        yield from _of_dicts(left, right, ordered, at)
    elif isinstance(left, list | tuple):
        if len(left) != len(right):
            yield f"{at}: {len(left)} items, not {len(right)}"
        for index, (one, other) in enumerate(zip(left, right, strict=False)):
            yield from differences(one, other, ordered=ordered, at=f"{at}[{index}]")
    elif isinstance(left, msgspec.Struct):
        for name in left.__struct_fields__:
            one, other = getattr(left, name), getattr(right, name)
            yield from differences(one, other, ordered=ordered, at=f"{at}.{name}")
    elif left != right or (isinstance(left, float) and repr(left) != repr(right)):
        yield f"{at}: {left!r} is not {right!r}"


def _of_dicts(left: dict[Any, Any], right: dict[Any, Any], ordered: bool, at: str) -> Iterator[str]:
    if left.keys() != right.keys():
        yield f"{at}: keys {sorted(left)} are not {sorted(right)}"
    elif ordered and list(left) != list(right):
        yield f"{at}: keys in order {list(left)}, not {list(right)}"
    for key in left.keys() & right.keys():
        yield from differences(left[key], right[key], ordered=ordered, at=f"{at}.{key}")


def same(left: Any, right: Any) -> bool:
    """Return True if the two are exactly the same."""
    return not any(True for _ in differences(left, right))
