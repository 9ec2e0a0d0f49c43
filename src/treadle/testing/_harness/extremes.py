"""Models in which every field holds a chosen value, made by walking their types.

A new field of a record, command or query is filled like the others, so no test has to name it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import msgspec
from msgspec.inspect import (
    AnyType,
    DictType,
    ListType,
    Metadata,
    NoneType,
    StructType,
    TupleType,
    UnionType,
    VarTupleType,
)

from treadle import core

Leaf = msgspec.inspect.Type
"""The type of a field that holds no other models: text, an id, a choice, a number, any JSON."""

Choose = Callable[[str, Leaf], Any]
"""Returns the value of the leaf at a path such as `send.payload`."""


def filled(kind: type[msgspec.Struct], choose: Choose, path: str = "") -> Any:
    """Return a `kind` in which no field is left out; tuples have an item of each possible type."""
    path = path or kind.__name__[0].lower() + kind.__name__[1:]
    return kind(
        **{
            field.name: _value(field.type, choose, f"{path}.{field.name}")
            for field in _fields(kind)
        }
    )


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, StructType)
    return info.fields


def _value(kind: Leaf, choose: Choose, path: str) -> Any:
    match kind:
        case StructType(cls=cls):
            return filled(cls, choose, path)
        case VarTupleType(item_type=item):
            return tuple(
                _value(each, choose, f"{path}[{index}]")
                for index, each in enumerate(_options(item))
            )
        case TupleType(item_types=items):
            return tuple(
                _value(each, choose, f"{path}[{index}]") for index, each in enumerate(items)
            )
        case ListType(item_type=item):
            return [_value(item, choose, f"{path}[0]")]
        case DictType(value_type=AnyType()):  # unknown fields
            return {"unknown": choose(f"{path}.unknown", AnyType())}
        case DictType(value_type=item):
            return {"name": _value(item, choose, path)}
        case Metadata(type=DictType() as restricted):  # some keys are refused
            return _value(restricted, choose, path)
        case UnionType():
            # Only `Message.content` and the amounts of patches leave a choice.
            return _value(_options(kind)[-1], choose, path)
        case _:
            return choose(path, kind)


def _options(kind: Leaf) -> list[Leaf]:
    options = kind.types if isinstance(kind, UnionType) else (kind,)
    return [each for each in options if not isinstance(each, NoneType)]


def concrete(base: type[Any]) -> Iterator[type[Any]]:
    """Yield the classes of the core that have `base`, and no subclass, and are in other modules."""
    for module in iter_modules(core.__path__):
        import_module(f"{core.__name__}.{module.name}")
    yield from (kind for kind in _leaves(base) if kind.__module__ != base.__module__)


def _leaves(base: type[Any]) -> Iterator[type[Any]]:
    below = [each for each in base.__subclasses__() if each.__module__.startswith(core.__name__)]
    for kind in below:
        yield from _leaves(kind)
    if not below:
        yield base
