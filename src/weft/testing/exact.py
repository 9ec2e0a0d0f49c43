"""Comparing JSON as JSON has it: 1, 1.0 and true are three values, 0.0 and -0.0 are two."""

from collections.abc import Iterator
from typing import Any


def differences(left: Any, right: Any, *, ordered: bool = False, at: str = "$") -> Iterator[str]:
    """Each place where `left` is not `right`; with `ordered`, the order of keys counts too."""
    if type(left) is not type(right):
        yield f"{at}: {left!r} is not {right!r}"
    elif isinstance(left, dict):
        if left.keys() != right.keys():
            yield f"{at}: keys {sorted(left)} are not {sorted(right)}"
        elif ordered and list(left) != list(right):
            yield f"{at}: keys in order {list(left)}, not {list(right)}"
        for key in left.keys() & right.keys():
            yield from differences(left[key], right[key], ordered=ordered, at=f"{at}.{key}")
    elif isinstance(left, list):
        if len(left) != len(right):
            yield f"{at}: {len(left)} items, not {len(right)}"
        for index, (one, other) in enumerate(zip(left, right, strict=False)):
            yield from differences(one, other, ordered=ordered, at=f"{at}[{index}]")
    elif repr(left) != repr(right):
        yield f"{at}: {left!r} is not {right!r}"


def same(left: Any, right: Any) -> bool:
    """Whether the two are the same JSON."""
    return not any(True for _ in differences(left, right))
