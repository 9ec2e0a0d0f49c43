"""JSON texts, read strictly: a value that a store cannot keep is refused with a clear reason."""

import json
from typing import NoReturn

import msgspec

from treadle.core.codec import Json, check_json
from treadle.core.limits import DEPTH
from treadle.errors import InvalidValue


def read_json(data: bytes | str, where: str, depth: int = DEPTH) -> Json:
    """Return the JSON value in `data`.

    Args:
        data: the JSON text.
        where: a name for the value, which begins the path in an error.
        depth: how many levels of lists and objects may be nested.

    Raises:
        InvalidValue: `data` is not JSON, is nested too deep, or has a value that a store cannot
            keep, such as NaN or a lone surrogate.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _explain(data, where, error) from error
    check_json(value, where, depth)
    return value


def _explain(data: bytes | str, where: str, error: Exception) -> InvalidValue:
    """Return the reason why msgspec refuses `data`."""
    # Python's own reader is slower, but says more clearly what is wrong and in which column.
    try:
        text = data if isinstance(data, str) else data.decode()
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=_read_integer)
        check_json(value, where)
    except InvalidValue as refusal:
        return refusal
    except json.JSONDecodeError as refusal:
        return InvalidValue(where, f"it is not JSON: {refusal.msg} ({_position_of(refusal)})")
    except UnicodeDecodeError as refusal:
        return InvalidValue(where, f"it is not UTF-8: {refusal.reason} (byte {refusal.start})")
    except RecursionError:
        return InvalidValue(where, f"it is nested deeper than {DEPTH} levels")
    except ValueError as refusal:
        return InvalidValue(where, str(refusal))
    return InvalidValue(where, f"it is not JSON: {error}")


def _position_of(error: json.JSONDecodeError) -> str:
    column = f"column {error.colno}"
    return column if error.lineno == 1 else f"line {error.lineno}, {column}"


def _read_integer(digits: str) -> int:
    # Python converts no more than 4,300 digits. So many do not fit 64 bits either, and
    # `check_json` says where they are.
    return int(digits[:400])


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")
