"""JSON values of a conversation, checked for their types and compared exactly."""

from typing import Any, cast

import msgspec

from treadle.core.codec import Json
from treadle.core.limits import DEPTH
from treadle.errors import InvalidValue

CHAT_DEPTH = DEPTH + 20
"""Deepest nesting of a conversation, which has values as deep as a store keeps within messages."""


def same(one: object, other: object) -> bool:
    """Return True if both have the same JSON; unlike `==`, this tells 1, 1.0 and True apart."""
    if one is other:
        return True
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def plain(value: Any) -> Any:
    """Return a value with JSON's own types for their subclasses, and lists for tuples.

    A member of a `StrEnum` becomes its text, as where a program writes JSON. What is neither stays.
    """
    try:
        return _plain(value)
    except RecursionError:
        return value  # it is nested too deep, and refused where it is stored


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain_scalar(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    # The methods of the subclasses may say something else.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int.__pos__(value)
    return float.__pos__(value) if isinstance(value, float) else value


def as_object(value: Json, where: str) -> dict[str, Json]:
    """Return `value`, which must be an object."""
    if not isinstance(value, dict):
        raise InvalidValue(where, f"it must be an object, not {kind_of(value)}")
    return cast("dict[str, Json]", value)


def as_list(value: Json, where: str) -> list[Json]:
    """Return `value`, which must be a list."""
    if not isinstance(value, list):
        raise InvalidValue(where, f"it must be a list, not {kind_of(value)}")
    return value


def as_text(value: Json, where: str) -> str:
    """Return `value`, which must be a string."""
    if not isinstance(value, str):
        raise InvalidValue(where, f"it must be a string, not {kind_of(value)}")
    return value


def as_id(value: Json, where: str) -> str | None:
    """Return an id, which some programs write as a number; None if there is none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidValue(where, f"it must be a string, not {kind_of(value)}")


def kind_of(value: Json) -> str:
    """Return JSON's name for the type of `value`, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
