"""JSON, and any model, derived from its types."""

from functools import cache
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from treadle.core.codec import Model
from treadle.core.limits import LARGEST_INTEGER, SMALLEST_INTEGER

ModelT = TypeVar("ModelT", bound=Model)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(SMALLEST_INTEGER, LARGEST_INTEGER)
floats = st.floats(allow_nan=False, allow_infinity=False)
keys = text | st.sampled_from(["<extra>", "id", "extra", "", "a.b"])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | floats | text | st.just("<extra>"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
json_without_floats = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def models(
    kind: type[ModelT], *, extra: bool = True, json: st.SearchStrategy[Any] = json_values
) -> st.SearchStrategy[ModelT]:
    """Any value of `kind`; with `extra`, models at every level carry unknown fields too."""
    return _struct(kind, extra, json)


@cache
def _struct(kind: Any, extra: bool, json: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    known = {field.encode_name for field in info.fields} | {info.tag_field}
    fields = {
        field.name: _values(field.type, extra, json)
        for field in info.fields
        if field.name != "extra"
    }
    if extra:
        unknown = keys.filter(lambda key: key not in known and key != "_version")
        fields["extra"] = st.just({}) | st.dictionaries(unknown, json, max_size=2)
    return st.builds(kind, **fields)


def _values(  # noqa: PLR0911
    kind: msgspec.inspect.Type, extra: bool, json: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    match kind:
        case msgspec.inspect.AnyType():
            return json
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.IntType(ge=least, le=most):
            low = SMALLEST_INTEGER if least is None else least
            return st.integers(low, LARGEST_INTEGER if most is None else most)
        case msgspec.inspect.FloatType():
            return floats
        case msgspec.inspect.StrType():
            return text
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case msgspec.inspect.Metadata(type=inner):  # an id: see `treadle.core.ids`
            return _values(inner, extra, json)
        case msgspec.inspect.UnionType(types=types):
            return st.one_of([_values(one, extra, json) for one in types])
        case msgspec.inspect.VarTupleType(item_type=item):
            return st.lists(_values(item, extra, json), max_size=2).map(tuple)
        case msgspec.inspect.TupleType(item_types=items):
            return st.tuples(*(_values(item, extra, json) for item in items))
        case msgspec.inspect.ListType(item_type=item):
            return st.lists(_values(item, extra, json), max_size=2)
        case msgspec.inspect.DictType(key_type=key, value_type=item):
            is_named = isinstance(key, msgspec.inspect.StrType) and key.min_length
            names = keys.filter(bool) if is_named else keys
            return st.dictionaries(names, _values(item, extra, json), max_size=2)
        case msgspec.inspect.StructType(cls=cls):
            return _struct(cls, extra, json)
        case _:
            raise AssertionError(f"no strategy for {kind}")
