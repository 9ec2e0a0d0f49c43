"""JSON read strictly: what a store could not keep is refused, for a reason people understand."""

import json
from typing import Any, NoReturn, cast

import msgspec

from treadle.core.codec import Json, check_json
from treadle.core.limits import DEPTH
from treadle.errors import InvalidValue


def read_json(data: bytes | str, where: str, depth: int = DEPTH) -> Json:
    """The JSON value in `data`, nested at most `depth` levels.

    Raises:
        InvalidValue: it is not JSON, or holds what a store cannot keep (NaN, lone surrogates, ...).
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _explain(data, where, error) from error
    check_json(value, where, depth)
    return value


def as_object(value: Json, where: str) -> dict[str, Json]:
    """`value`, which must be a JSON object.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(value, dict):
        raise InvalidValue(where, f"it must be an object, not {kind_of(value)}")
    return cast("dict[str, Json]", value)


def as_list(value: Json, where: str) -> list[Json]:
    """`value`, which must be a JSON list.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(value, list):
        raise InvalidValue(where, f"it must be a list, not {kind_of(value)}")
    return value


def as_text(value: Json, where: str) -> str:
    """`value`, which must be a JSON string.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(value, str):
        raise InvalidValue(where, f"it must be a string, not {kind_of(value)}")
    return value


def kind_of(value: Json) -> str:
    """What JSON calls the kind of `value`, with its article."""
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


def _explain(data: bytes | str, where: str, error: Exception) -> InvalidValue:
    """Why `data` is refused, in the words of Python's reader, which are the clearer ones."""
    try:
        text = data if isinstance(data, str) else data.decode()
        check_json(json.loads(text, parse_constant=_refuse_constant), where)
    except InvalidValue as refusal:
        return refusal
    except json.JSONDecodeError as refusal:
        return InvalidValue(where, f"it is not JSON: {refusal.msg} ({_place_of(refusal)})")
    except UnicodeDecodeError as refusal:
        return InvalidValue(where, f"it is not UTF-8: {refusal.reason} (byte {refusal.start})")
    except RecursionError:
        return InvalidValue(where, f"it is nested deeper than {DEPTH} levels")
    except ValueError as refusal:
        return InvalidValue(where, str(refusal))
    return InvalidValue(where, f"it is not JSON: {error}")


def _place_of(error: json.JSONDecodeError) -> str:
    place = f"column {error.colno}"
    return place if error.lineno == 1 else f"line {error.lineno}, {place}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def differing(original: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """The fields of `original` that `written` lacks or has otherwise."""
    missing = object()
    return {key: item for key, item in original.items() if written.get(key, missing) != item}
