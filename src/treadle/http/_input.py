"""What clients send: parameters of the query and bodies, read strictly.

Nothing is guessed: a parameter or a field that the operation does not know is refused, and so are
a key that comes twice and a number that would not survive.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, cast
from urllib.parse import unquote

import msgspec
from msgspec import inspect

from treadle.core.codec import Json, Model, SortedModel, check_json, from_plain
from treadle.core.commands import Command
from treadle.errors import InvalidValue, shorten

StructT = TypeVar("StructT", bound=msgspec.Struct)

Body = Model
"""The base of what a body holds: a model of the store, a command, or a `Fields`."""

HIDDEN = frozenset({"now"})
"""Fields that no client sets: the time is that of the store."""

_FIELDS = 100
"""Most parameters of a query."""
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NATURAL = re.compile(r"[0-9]{1,18}")


class Fields(Model, frozen=True, kw_only=True):
    """The fields of a body that is not a model of the store; it takes no others."""

    other_names: ClassVar[Mapping[str, str]] = {}
    """Further names of fields, as tirea has them."""
    most_items: ClassVar[Mapping[str, str]] = {}
    """Arrays, with the name of the one of `Limits` that says how many items they may have."""


class OpenBody(SortedModel, frozen=True, kw_only=True):
    """A body whose fields the client chooses, except some."""

    set_by_the_store: ClassVar[frozenset[str]]
    """The fields that it may not have."""


Shape = Literal["text", "integer", "flag", "texts"]
"""How the text of a parameter is read; "texts" may come several times."""


class Parameters(msgspec.Struct, frozen=True):
    """The parameters of a query."""

    kind: type[msgspec.Struct]
    shapes: dict[str, Shape]
    """The parameters by name."""
    from_path: tuple[str, ...]
    """Fields whose values come from the path."""


@cache
def parameters_of(kind: type[msgspec.Struct], ids: tuple[str, ...]) -> Parameters:
    """Return how the fields of a struct are read from a query; the path gives those in `ids`."""
    shapes: dict[str, Shape] = {}
    fields = kind.__struct_fields__
    for field in inspected(kind).fields:
        if field.name not in HIDDEN and field.name != "extra" and field.name not in ids:
            shapes[field.encode_name] = _shape_of(field.type)
    return Parameters(kind, shapes, tuple(name for name in ids if name in fields))


def inspected(kind: type[msgspec.Struct]) -> inspect.StructType:
    """Return the fields of a struct, with their types."""
    return cast("inspect.StructType", inspect.type_info(kind))


def _shape_of(kind: inspect.Type) -> Shape:
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for option in options:
        match option.type if isinstance(option, inspect.Metadata) else option:
            case inspect.IntType():
                return "integer"
            case inspect.BoolType():
                return "flag"
            case inspect.VarTupleType():
                return "texts"
            case inspect.StrType() | inspect.LiteralType():
                return "text"
            case _:
                continue
    raise TypeError(f"no parameter can be a {kind}")


def read_query(
    raw: bytes,
    parameters: Parameters | None,
    ids: Mapping[str, str],
    *,
    skip_empty: bool = False,
) -> Any:
    """Read the query of a URL, or the body of a form, which is written alike.

    Args:
        raw: the query.
        parameters: what may be in it.
        ids: the values of the parameters of the path.
        skip_empty: whether an empty value counts as none, as browsers send each field of a form.

    Raises:
        InvalidValue: a parameter is unknown, comes twice, or has a value that it cannot have.
    """
    if not raw and parameters is None:
        return None
    if not raw and parameters is not None and not parameters.from_path:
        return _converted({}, parameters.kind)
    plain: dict[str, Json] = {}
    shapes = {} if parameters is None else parameters.shapes
    for name, text in _pairs(raw):
        if skip_empty and not text:
            continue
        shape = shapes.get(name)
        if shape is None:
            known = ", ".join(sorted(shapes)) or "there are none"
            raise InvalidValue("query", f"unknown parameter {shorten(name)}; known: {known}")
        if shape == "texts":
            plain.setdefault(name, []).append(text)
        elif name in plain:
            raise InvalidValue(name, "it comes twice")
        else:
            plain[name] = _value_of(text, shape, name)
    if parameters is None:
        return None
    plain.update((name, ids[name]) for name in parameters.from_path)
    return _converted(plain, parameters.kind)


def _pairs(raw: bytes) -> Iterable[tuple[str, str]]:
    if not raw:
        return ()
    try:
        pairs = raw.decode("ascii").split("&")
        if len(pairs) > _FIELDS:
            raise ValueError(f"{len(pairs)} parameters")
        halves = [pair.partition("=") for pair in pairs if pair]
        return [(_unquoted(name), _unquoted(text)) for name, _, text in halves]
    except ValueError as error:
        reason = f"it must be percent-encoded UTF-8, of at most {_FIELDS} parameters"
        raise InvalidValue("query", reason) from error


def _unquoted(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    return unquote(text.replace("+", " "), errors="strict")


def _value_of(text: str, shape: Shape, name: str) -> Json:
    match shape:
        case "integer":
            if not _INTEGER.fullmatch(text):
                raise InvalidValue(name, f"it must be an integer, not {shorten(text)}")
            return int(text)
        case "flag":
            if text not in ("true", "false"):
                raise InvalidValue(name, f"it must be true or false, not {shorten(text)}")
            return text == "true"
        case _:
            return text


def _converted(plain: Json, kind: type[StructT]) -> StructT:
    try:
        return msgspec.convert(plain, type=kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise InvalidValue(place.strip(".`") or "query", reason) from error


def natural_number(text: str) -> int | None:
    """Return the number that a header has, in at most 18 digits; None if it has none."""
    return int(text) if _NATURAL.fullmatch(text) else None


# --- bodies ---------------------------------------------------------------------------------------


def read_body(data: bytes, kind: type[Body], ids: Mapping[str, str]) -> Body:
    """Read a body of JSON as a `kind`; the path gives the fields in `ids`.

    Raises:
        InvalidValue: it is no JSON, or not of that kind.
    """
    plain = read_json(data) if data else {}
    if not isinstance(plain, dict):
        raise InvalidValue("body", f"it must be an object, not {shorten(plain)}")
    # A key may be the name of `extra` only if there is a `<`, which may be escaped.
    names_extra = b"<" in data or b"\\u003" in data
    return _body_of(cast("dict[str, Json]", plain), kind, ids, "body", names_extra=names_extra)


def body_of(plain: dict[str, Json], kind: type[Body], ids: Mapping[str, str], where: str) -> Body:
    """Return the `kind` that an object of JSON holds.

    Raises:
        InvalidValue: it does not hold one; `where` names it.
    """
    return _body_of(plain, kind, ids, where, names_extra=True)


def _body_of(
    plain: dict[str, Json],
    kind: type[Body],
    ids: Mapping[str, str],
    where: str,
    *,
    names_extra: bool,
) -> Body:
    shape = _shape_of_body(kind, tuple(ids))
    if shape.other_names:
        plain = _under_one_name(plain, shape.other_names, where)
    allowed = shape.allowed
    if not shape.refused.isdisjoint(plain) or not (allowed is None or allowed.issuperset(plain)):
        raise _unknown_field(plain, shape, where)
    if shape.from_path:
        plain = {**plain, **{name: ids[name] for name in shape.from_path}}
    try:
        if not names_extra:
            try:
                return msgspec.convert(plain, type=kind)
            except msgspec.ValidationError:
                pass  # perhaps because of fields that its models do not know: they are kept
        return from_plain(kind, plain)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise InvalidValue(where + place.rstrip("`"), reason) from error
    except RecursionError as error:
        raise InvalidValue(where, "it is nested too deeply") from error


class _BodyShape(msgspec.Struct, frozen=True):
    """What the fields of a body may be."""

    other_names: Mapping[str, str]
    refused: frozenset[str]
    allowed: frozenset[str] | None
    from_path: tuple[str, ...]
    """Fields whose values come from the path."""


@cache
def _shape_of_body(kind: type[Body], ids: tuple[str, ...]) -> _BodyShape:
    return _BodyShape(
        other_names=other_names_of(kind),
        refused=refused_fields(kind, ids),
        allowed=allowed_fields(kind, ids),
        from_path=tuple(name for name in ids if name in kind.__struct_fields__),
    )


def _unknown_field(plain: dict[str, Json], shape: _BodyShape, where: str) -> InvalidValue:
    allowed = shape.allowed
    name = next(
        each
        for each in plain
        if each in shape.refused or (allowed is not None and each not in allowed)
    )
    known = ", ".join(sorted(allowed or ())) or "others"
    return InvalidValue(where, f"unknown field {shorten(name)}; known: {known}")


def other_names_of(kind: type[Body]) -> Mapping[str, str]:
    """Return further names of the fields of a body."""
    return kind.other_names if issubclass(kind, Fields) else {}


def _under_one_name(
    plain: dict[str, Json], names: Mapping[str, str], where: str
) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for given, value in plain.items():
        name = names.get(given, given)
        if name in found:
            raise InvalidValue(where, f"{name} comes twice: {given} is the same")
        found[name] = value
    return found


@cache
def _known_fields(kind: type[Body]) -> frozenset[str]:
    return frozenset(field.encode_name for field in inspected(kind).fields) - {"<extra>"}


@cache
def allowed_fields(kind: type[Body], ids: tuple[str, ...]) -> frozenset[str] | None:
    """Return the fields that a body may have; None: others too, which the store keeps."""
    return None if keeps_others(kind) else _known_fields(kind) - refused_fields(kind, ids)


@cache
def refused_fields(kind: type[Body], ids: tuple[str, ...]) -> frozenset[str]:
    """Return the fields that a body may not have: the path names them, or the store sets them."""
    if issubclass(kind, OpenBody):
        return kind.set_by_the_store
    return HIDDEN | _known_fields(kind).intersection(ids)


def keeps_others(kind: type[Body]) -> bool:
    """Return whether the store keeps fields that it does not know of what a body holds."""
    return not issubclass(kind, Fields | Command)


def read_json(data: bytes) -> Json:
    """Read JSON in UTF-8 that the store can keep.

    Raises:
        InvalidValue: it is none, has a key twice, or has a value that JSON does not keep.
    """
    try:
        plain = _decoded(data.decode())
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidValue):
            raise
        raise InvalidValue("body", f"it must be JSON in UTF-8: {shorten(str(error))}") from error
    check_json(plain, "body")
    return plain


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidValue("body", f"the key {shorten(name)} comes twice")
            seen.add(name)
    return found


def _refuse(constant: str) -> Json:
    raise InvalidValue("body", f"JSON has no {constant}")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
_SPACE = " \t\n\r"
"""What JSON has as white space."""


def _decoded(text: str) -> Json:
    """What `_DECODER.decode` returns; it would look for white space on both sides."""
    if not text.startswith("{"):
        return _DECODER.decode(text)
    plain, end = _DECODER.raw_decode(text)
    is_all = end == len(text) or not text[end:].strip(_SPACE)
    return plain if is_all else _DECODER.decode(text)
