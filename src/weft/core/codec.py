"""Models and their JSON: the on-disk form, unknown fields kept, bad values refused by place."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from weft.core.limits import DEPTH, LARGEST_INTEGER, SMALLEST_INTEGER
from weft.errors import CorruptRecord, InvalidValue

Json = Any
"""A value JSON can hold: None, bool, int, float, str, list or dict with string keys."""

_EXTRA = "<extra>"
_EXTRA_BYTES = b'"<extra>"'


class Model(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    forbid_unknown_fields=True,
):
    """What every stored value is: frozen, and keeping in `extra` the fields Weft does not know.

    `extra` is flattened: its keys stand beside the model's own in JSON. `None` fields are left out.
    """

    extra: dict[str, Json] = msgspec.field(default_factory=dict, name=_EXTRA)


class SortedModel(Model, frozen=True, kw_only=True):
    """A model that the reference writes with all its keys in alphabetical order."""


T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=Model)


def written(value: Any) -> Any:
    """A default that is written to JSON too (`omit_defaults` leaves plain defaults out)."""
    return msgspec.field(default_factory=lambda: value)


def encode(value: Model) -> bytes:
    """The on-disk JSON of `value`: pretty-printed as the reference writes it."""
    return msgspec.json.format(encode_compact(value), indent=2)


def encode_compact(value: Model) -> bytes:
    """The JSON of `value` on one line, keys in the on-disk order."""
    sort = isinstance(value, SortedModel)
    data = msgspec.json.encode(value, order="sorted" if sort else "deterministic")
    if _EXTRA_BYTES not in data:
        return data
    plain = _convert_models(msgspec.to_builtins(value, order="deterministic"), type(value), _spread)
    return msgspec.json.encode(plain, order="sorted" if sort else None)


def decode(kind: type[ModelT], data: bytes | str) -> ModelT:
    """Read a `kind` from its JSON.

    Raises:
        CorruptRecord: `data` is not JSON, or not of that kind; the message names the place.
    """
    try:
        marked = _EXTRA in data if isinstance(data, str) else _EXTRA_BYTES in data
        if not marked:
            return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # not JSON, of another shape, or with fields we do not know: the slow way tells which
    try:
        return from_plain(kind, msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptRecord(f"a {kind.__name__}", str(error)) from error


def from_plain(kind: type[ModelT], plain: Json) -> ModelT:
    """Build a `kind` from decoded JSON; fields it does not know go to `extra`."""
    return msgspec.convert(_convert_models(plain, kind, _gather), type=kind)


def to_plain(value: Model) -> Json:
    """The decoded JSON of `value`: what `json.loads(encode(value))` would give."""
    return _convert_models(msgspec.to_builtins(value), type(value), _spread)


def checked(value: ModelT, where: str = "") -> ModelT:
    """A copy of `value` that shares nothing with it and can be stored and read back the same.

    Raises:
        InvalidValue: a field has the wrong type, or holds what JSON cannot (NaN, infinities, lone
            surrogates, integers beyond 64 bits, other objects, too deep a nesting).
    """
    name = where or type(value).__name__
    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        _find_unstorable(value, name)
        raise
    check_json(plain, name)
    try:
        return msgspec.convert(plain, type=type(value))
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise InvalidValue(name + place.rstrip("`"), reason) from error


def check_json(value: Json, where: str, depth: int = DEPTH) -> None:
    """Refuse what JSON cannot hold or the reference cannot read, naming the place.

    Raises:
        InvalidValue: see `checked`.
    """
    kind = type(value)
    if kind is str:
        if not value.isascii() and _has_surrogate(value):
            raise InvalidValue(where, "the text has a lone surrogate, which UTF-8 cannot hold")
    elif kind is dict:
        if depth == 0:
            raise InvalidValue(where, f"it is nested deeper than {DEPTH} levels")
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidValue(where, f"the key {key!r} is not a string")
            check_json(key, where)
            check_json(item, f"{where}.{key}" if key else f'{where}[""]', depth - 1)
    elif kind is list or kind is tuple:
        if depth == 0:
            raise InvalidValue(where, f"it is nested deeper than {DEPTH} levels")
        for index, item in enumerate(value):
            check_json(item, f"{where}[{index}]", depth - 1)
    elif kind is int:
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise InvalidValue(where, f"the integer {value} does not fit 64 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise InvalidValue(where, f"JSON has no {value}")
    elif value is not None and kind is not bool:
        raise InvalidValue(where, f"JSON cannot hold a {kind.__name__}")


def copied(value: T) -> T:
    """A copy of a model, or of a tuple of models, whose JSON values nobody else can change."""
    if isinstance(value, tuple):
        return cast("T", tuple(copied(item) for item in cast("tuple[object, ...]", value)))
    if isinstance(value, Model):
        return msgspec.convert(msgspec.to_builtins(value), type=type(value))
    return value


def copy_json(value: Json) -> Json:
    """A copy of a JSON value that shares no list or dict with it."""
    match value:
        case dict():
            return {key: copy_json(item) for key, item in value.items()}
        case list():
            return [copy_json(item) for item in value]
        case _:
            return value


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _find_unstorable(value: object, where: str) -> None:
    """Name the place of what msgspec could not turn into plain JSON."""
    if isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            _find_unstorable(getattr(value, field), f"{where}.{field}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[object]", value)):
            _find_unstorable(item, f"{where}[{index}]")
    else:
        check_json(value, where)


Change = Callable[[dict[str, Json], frozenset[str]], dict[str, Json]]


def _spread(plain: dict[str, Json], known: frozenset[str]) -> dict[str, Json]:
    extra = plain.pop(_EXTRA, None)
    if extra:
        plain.update((key, item) for key, item in extra.items() if key not in known)
    return plain


def _gather(plain: dict[str, Json], known: frozenset[str]) -> dict[str, Json]:
    extra = {key: item for key, item in plain.items() if key not in known}
    if not extra:
        return plain
    kept = {key: item for key, item in plain.items() if key in known}
    kept[_EXTRA] = extra
    return kept


def _convert_models(plain: Json, kind: type[Model], change: Change) -> Json:
    """Apply `change` to the plain form of `kind` and of every model inside it."""
    if not isinstance(plain, dict):
        return plain
    known, nested = _shape(kind)
    result = dict(cast("dict[str, Json]", plain))
    for name, inner, repeated in nested:
        item = result.get(name)
        if repeated and isinstance(item, list | tuple):
            result[name] = [_convert_models(one, inner, change) for one in cast("list[Json]", item)]
        elif not repeated and item is not None:
            result[name] = _convert_models(item, inner, change)
    return change(result, known)


@cache
def _shape(kind: type[Model]) -> tuple[frozenset[str], tuple[tuple[str, type[Model], bool], ...]]:
    """The JSON names `kind` knows, and which fields hold models: (name, model, in a list)."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101
    known = {field.encode_name for field in info.fields}
    if info.tag_field:
        known.add(info.tag_field)
    nested: list[tuple[str, type[Model], bool]] = []
    for field in info.fields:
        for option in _options(field.type):
            if isinstance(option, msgspec.inspect.StructType) and issubclass(option.cls, Model):
                nested.append((field.encode_name, option.cls, False))
            elif isinstance(option, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
                item = option.item_type
                if isinstance(item, msgspec.inspect.StructType) and issubclass(item.cls, Model):
                    nested.append((field.encode_name, item.cls, True))
    return frozenset(known - {_EXTRA}), tuple(nested)


def _options(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
