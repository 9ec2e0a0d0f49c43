"""Models and their JSON: the on-disk form, unknown fields kept, bad values refused by their path.

A model keeps the fields that it does not know in `extra`; in JSON they are beside its own. msgspec
knows no such field, so a value with unknown fields takes two passes: msgspec converts between a
model and plain JSON in which `extra` has the name `<extra>`, and `_convert_models` moves the
unknown fields into it (`_collect_extra`) or out of it (`_flatten_extra`). A value without unknown
fields, which is nearly every one, takes the first pass only.
"""

import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import repeat
from typing import Any, TypeVar, cast

import msgspec
from msgspec.inspect import LiteralType, StructType, TupleType, VarTupleType

from treadle.core.limits import DEPTH, LARGEST_INTEGER, LARGEST_TIME, SMALLEST_INTEGER
from treadle.errors import CorruptRecord, InvalidValue, shorten

Json = Any
"""A value JSON can hold: None, bool, int, float, str, list or dict with string keys."""

_STEP = re.compile(r"\.(\w+)|(\[\d+\])")
_SIMPLE = (type(None), bool)
"""Types whose values JSON always holds."""
_TEXTS = {str}
_FIXED = (type(None), bool, int, str)
"""Types of defaults that nobody can change."""

_EXTRA = "<extra>"
_EXTRA_BYTES = b'"<extra>"'


class Model(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,  # JSON has no cycles, so counting references frees all values, and takes less
):
    """The base of all stored values: frozen, with the fields that Treadle does not know in `extra`.

    `extra` is flattened: its keys stand beside the model's own in JSON. `None` fields are left out.
    """

    extra: dict[str, Json] = msgspec.field(default_factory=dict, name=_EXTRA)


class SortedModel(Model, frozen=True, kw_only=True):
    """A model that tirea writes with all its keys in alphabetical order."""


T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=Model)


def always_encoded(value: Any) -> Any:
    """A field's default that appears in the JSON too.

    tirea writes such fields always; `omit_defaults` would leave a plain default out.
    """
    # An endless iterator is a factory that Python calls without a frame of its own.
    return msgspec.field(default_factory=repeat(value).__next__)


def encode(value: Model, *, pretty: bool = False) -> bytes:
    """Return the JSON of a stored value, a page or a report, in UTF-8; see `decode`.

    `value` is not checked; a store checks what it is given.

    Args:
        value: what to encode; the keys of its `extra` stand beside its own.
        pretty: lay it out over many lines, indented, as in a store of plain files. Otherwise it is
            one line without spaces, as server-sent events and JSON Lines need it.
    """
    if pretty:
        return msgspec.json.format(encode(value), indent=2)
    sort = isinstance(value, SortedModel)
    data = msgspec.json.encode(value, order="sorted" if sort else "deterministic")
    # One character is found much faster than several, and most values do not have it.
    if b"<" not in data or _EXTRA_BYTES not in data:
        return data
    plain = _convert_models(
        msgspec.to_builtins(value, order="deterministic"), type(value), _flatten_extra
    )
    return msgspec.json.encode(plain, order="sorted" if sort else None)


def decode(kind: type[ModelT], data: bytes | str) -> ModelT:
    """Read a `kind` from its JSON.

    Raises:
        CorruptRecord: `data` is not JSON, or not of that kind; the message names the place.
    """
    try:
        marked = (
            "<" in data and _EXTRA in data
            if isinstance(data, str)
            else b"<" in data and _EXTRA_BYTES in data
        )
        if not marked:
            return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # not JSON, of another shape, or with fields we do not know: the slow way tells which
    try:
        return from_plain(kind, msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        advice = "find out which program wrote it"
        raise CorruptRecord(f"a {kind.__name__}", str(error), advice) from error


def from_plain(kind: type[ModelT], plain: Json) -> ModelT:
    """Build a `kind` from decoded JSON; fields it does not know go to `extra`."""
    return msgspec.convert(_convert_models(plain, kind, _collect_extra), type=kind)


def to_plain(value: Model) -> Json:
    """The decoded JSON of `value`: what `json.loads(encode(value))` would give."""
    return msgspec.json.decode(encode(value))


def checked(value: ModelT, where: str = "") -> ModelT:
    """Return a copy of `value` that shares nothing with it and reads back the same once stored.

    Raises:
        InvalidValue: a field has the wrong type, or holds what JSON cannot (NaN, infinities, lone
            surrogates, integers beyond 64 bits, other objects, too deep a nesting).
    """
    try:
        _check_fields(value)
    except _Refused as refused:
        raise refused.at(where or type(value).__name__) from None
    try:
        return msgspec.convert(msgspec.to_builtins(value), type=type(value))
    except msgspec.ValidationError as error:
        text = str(error).replace(" - at `key` in `$", " as a key - at `$")
        name = where or type(value).__name__
        reason, _, place = text.partition(" - at `$")
        place = place.rstrip("`")
        choices = _choices(type(value), place)
        if choices:
            reason += f"; it must be one of {', '.join(map(repr, choices))}"
        raise InvalidValue(name + place, reason) from error


def check_json(value: Json, where: str, depth: int = DEPTH) -> None:
    """Refuse a value that JSON cannot hold or tirea cannot read; `where` names it.

    Raises:
        InvalidValue: see `checked`.
    """
    try:
        _check_json(value, depth)
    except _Refused as refused:
        raise refused.at(where) from None


class _Refused(Exception):
    """A value that cannot be stored.

    Its place is put together on the way out, because most values are stored.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self._reason = reason
        self._place = place

    def within(self, step: str) -> None:
        """Note that the place is within another value."""
        self._place = step + self._place

    def at(self, where: str) -> InvalidValue:
        """Return the error for the caller; `where` names the outermost value."""
        return InvalidValue(where + self._place, self._reason)


def _check_json(value: Json, depth: int) -> None:
    kind = type(value)
    if kind is dict:
        _check_object(value, depth)
    elif kind is list:
        _check_array(value, depth)
    elif kind is str:
        if not value.isascii() and _has_surrogate(value):
            raise _Refused("the text has a lone surrogate, which UTF-8 cannot hold")
    elif kind is int:
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise _Refused(f"the integer {shorten(value)} does not fit 64 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise _Refused(f"JSON has no {value}")
    elif kind is tuple:
        raise _Refused("it is a tuple and would be read back as a list; use a list")
    elif value is not None and kind is not bool:
        article = "an" if kind.__name__[0] in "aeiou" else "a"
        advice = "give what it holds, as a dict, a list, a text or a number"
        raise _Refused(f"JSON cannot hold {article} {kind.__name__}; {advice}")


def _check_object(value: dict[object, Json], depth: int) -> None:
    if depth == 0:
        raise _Refused(f"it is nested deeper than {DEPTH} levels")
    for key, item in value.items():
        if type(key) is not str:
            raise _Refused(f"the key {shorten(key)} is not a string")
        if not key.isascii():
            _check_json(key, depth)
        kind = type(item)
        if not ((kind is str and item.isascii()) or kind in _SIMPLE):
            try:
                _check_json(item, depth - 1)
            except _Refused as refused:
                refused.within(f".{key}" if key else '[""]')
                raise


def _check_array(value: list[Json], depth: int) -> None:
    if depth == 0:
        raise _Refused(f"it is nested deeper than {DEPTH} levels")
    for index, item in enumerate(value):
        kind = type(item)
        if not ((kind is str and item.isascii()) or kind in _SIMPLE):
            try:
                _check_json(item, depth - 1)
            except _Refused as refused:
                refused.within(f"[{index}]")
                raise


def check_integer(where: str, value: object) -> int:
    """Return `value` if it is a signed integer of 64 bits, else raise `InvalidValue`."""
    if type(value) is not int:
        raise InvalidValue(where, f"it must be an integer, not a {type(value).__name__}")
    if not SMALLEST_INTEGER <= value <= LARGEST_TIME:
        reason = f"the integer {shorten(value)} does not fit a signed integer of 64 bits"
        raise InvalidValue(where, reason)
    return value


def copied(value: T) -> T:
    """A copy of a model, or of a tuple of models, whose JSON values nobody else can change."""
    if isinstance(value, tuple):
        return cast("T", tuple(map(copied, cast("tuple[object, ...]", value))))
    if isinstance(value, Model):
        return msgspec.convert(msgspec.to_builtins(value), type=type(value))
    return value


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_fields(value: Model) -> None:
    """Check the JSON in a model and in those inside it, and that those are models."""
    shape = _shape(type(value))
    # Most fields have their default; this loop runs for every model of every write.
    items = msgspec.structs.astuple(value)
    for field, item, default in zip(shape.fields, items, shape.defaults, strict=True):
        if item is default or item is None:
            continue
        kind = type(item)
        if (
            (kind is str and item.isascii() and not field.repeated)
            or (kind is tuple and field.repeated and (not item or _are_plain_texts(item, field)))
            or (kind is dict and not item and not field.models)  # `extra`, mostly
            or (kind is int and not field.models and SMALLEST_INTEGER <= item <= LARGEST_INTEGER)
        ):
            continue
        try:
            _check_field(item, field)
        except _Refused as refused:
            refused.within(f".{field.attribute}")
            raise
    if type(value.extra) is not dict:
        raise _Refused(f"it must be a dict, not a {type(value.extra).__name__}", ".extra")
    if not shape.known.isdisjoint(value.extra):
        taken = min(shape.known.intersection(value.extra))
        reason = f"{shorten(taken)} is a field of its own; set that"
        raise _Refused(reason, f".extra.{taken}")


def _are_plain_texts(items: tuple[object, ...], field: "_Field") -> bool:
    """Return True for a tuple of ASCII texts, such as a key, in a field of plain JSON."""
    if field.models or {*map(type, items)} != _TEXTS:
        return False
    return "".join(cast("tuple[str, ...]", items)).isascii()


def _check_field(item: object, field: "_Field") -> None:
    if type(item) in field.models:
        _check_fields(cast("Model", item))
    elif not field.repeated:
        _check_item(item, field.models)
    elif type(item) is tuple or type(item) is list:
        for index, one in enumerate(cast("tuple[object, ...]", item)):
            try:
                _check_one(one, field)
            except _Refused as refused:
                refused.within(f"[{index}]")
                raise
    else:
        raise _Refused(f"it must be a tuple or list, not a {type(item).__name__}")


def _check_one(one: object, field: "_Field") -> None:
    if field.nested and type(one) is tuple:
        items = cast("tuple[object, ...]", one)
        if not _are_plain_texts(items, field):
            _check_json(list(items), DEPTH)
    else:
        _check_item(one, field.models)


def _check_item(item: object, models: tuple[type[Model], ...]) -> None:
    if not models:
        _check_json(item, DEPTH)
    elif isinstance(item, models):
        _check_fields(item)
    else:
        names = " or ".join(model.__name__ for model in models)
        raise _Refused(f"it must be a {names}, not a {type(item).__name__}")


Change = Callable[[dict[str, Json], frozenset[str]], dict[str, Json]]


def _flatten_extra(plain: dict[str, Json], known: frozenset[str]) -> dict[str, Json]:
    extra = plain.pop(_EXTRA, None)
    if extra:
        plain.update((key, item) for key, item in extra.items() if key not in known)
    return plain


def _collect_extra(plain: dict[str, Json], known: frozenset[str]) -> dict[str, Json]:
    if known.issuperset(plain):
        return plain
    kept = {key: item for key, item in plain.items() if key in known}
    kept[_EXTRA] = {key: item for key, item in plain.items() if key not in known}
    return kept


def _convert_models(plain: Json, kind: type[Model], change: Change) -> Json:
    """Apply `change` to the plain form of `kind` and of every model inside it."""
    if not isinstance(plain, dict):
        return plain
    shape = _shape(kind)
    result = dict(cast("dict[str, Json]", plain))
    for field in shape.holding_models:
        item = result.get(field.name)
        if item is None:
            continue
        if field.repeated and isinstance(item, list | tuple):
            items = cast("list[Json]", item)
            result[field.name] = [_convert_one(one, field.models, change) for one in items]
        elif not field.repeated:
            result[field.name] = _convert_one(item, field.models, change)
    return change(result, shape.known)


def _convert_one(plain: Json, models: tuple[type[Model], ...], change: Change) -> Json:
    """The same for one of several models, which their tags tell apart."""
    if len(models) > 1 and isinstance(plain, dict):
        tagged = cast("dict[str, Json]", plain)
        models = tuple(model for model in models if _has_tag(tagged, model))
    return _convert_models(plain, models[0], change) if models else plain


def _has_tag(plain: dict[str, Json], model: type[Model]) -> bool:
    config = model.__struct_config__
    return config.tag_field is not None and plain.get(config.tag_field) == config.tag


class _Field(msgspec.Struct, frozen=True):
    attribute: str
    name: str
    models: tuple[type[Model], ...]
    """Which models it holds; none: plain JSON."""
    repeated: bool
    """It holds a tuple of them."""
    nested: bool
    """It holds a tuple of tuples."""


class _Shape(msgspec.Struct, frozen=True):
    known: frozenset[str]
    """The JSON names of its own fields."""
    fields: tuple[_Field, ...]
    """In the order of `__struct_fields__`."""
    defaults: tuple[object, ...]
    """Their defaults, as far as nobody can change them: a field with its own needs no check."""
    holding_models: tuple[_Field, ...]
    """Those that hold models."""


@cache
def _shape(kind: type[Model]) -> _Shape:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, StructType)  # noqa: S101
    known = {field.encode_name for field in info.fields} - {_EXTRA}
    if info.tag_field:
        known.add(info.tag_field)
    fields: list[_Field] = []
    for field in sorted(info.fields, key=lambda each: kind.__struct_fields__.index(each.name)):
        items = [one for one in _options(field.type) if isinstance(one, VarTupleType)]
        held = [each for one in items for each in _options(one.item_type)]
        models = _models(held if items else _options(field.type))
        nested = any(isinstance(one, (VarTupleType, TupleType)) for one in held)
        fields.append(_Field(field.name, field.encode_name, models, bool(items), nested))
    defaults = {each.name: _fixed_default(each) for each in msgspec.structs.fields(kind)}
    return _Shape(
        frozenset(known),
        tuple(fields),
        tuple(defaults[name] for name in kind.__struct_fields__),
        tuple(field for field in fields if field.models),
    )


def _fixed_default(field: msgspec.structs.FieldInfo) -> object:
    """The default of a field; if there is none, or it can be changed, a value that no field has."""
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()  # that of `always_encoded` is the same each time
    is_fixed = type(default) in _FIXED or default in ((), msgspec.UNSET)
    return default if is_fixed else object()


def _choices(kind: type[Model], place: str) -> tuple[object, ...]:
    """The values that may stand at a place such as `.messages[0].role`, if there are only some."""
    found: tuple[msgspec.inspect.Type, ...] = (_type_of(kind),)
    for name, index in _STEP.findall(place):
        if index:
            found = _flat(one.item_type for one in found if isinstance(one, VarTupleType))
        else:
            fields = [field for one in found if isinstance(one, StructType) for field in one.fields]
            found = _flat(field.type for field in fields if field.encode_name == name)
    return tuple(value for one in found if isinstance(one, LiteralType) for value in one.values)


@cache
def _type_of(kind: type[Model]) -> msgspec.inspect.Type:
    """The fields of a model and of the models in them; to find them out takes milliseconds."""
    return msgspec.inspect.type_info(kind)


def _flat(kinds: Iterable[msgspec.inspect.Type]) -> tuple[msgspec.inspect.Type, ...]:
    return tuple(one for kind in kinds for one in _options(kind))


def _models(kinds: Iterable[msgspec.inspect.Type]) -> tuple[type[Model], ...]:
    return tuple(
        kind.cls for kind in kinds if isinstance(kind, StructType) and issubclass(kind.cls, Model)
    )


def _options(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    """The types that a value may have."""
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
