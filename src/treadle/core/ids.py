"""Which ids a store accepts: those that are safe as a file name on Linux and macOS.

They may have characters that no file name has on Windows (`telegram:1`); there a folder refuses
them.
"""

import re
from functools import cache
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.inspect import Metadata, NoneType, StructType, UnionType

from treadle.core.limits import ID_BYTES
from treadle.errors import InvalidId

IdKind = Literal["thread", "run", "mailbox", "entry", "collection"]
"""The kind of thing that an id names; errors show it."""

_ASCII = r"[ -\-0-\[\]-~]"
_ANY = r"[^\x00-\x1f./\\\x7f-\x9f]"
ID_SCHEMA = {
    "minLength": 1,
    "maxLength": ID_BYTES,
    "pattern": rf"^(?:(?:\.?{_ASCII})+\.?|(?:\.?{_ANY}){{1,24}}\.?)$",
}
"""Describes ids in a JSON schema: all ids in ASCII except names of devices, and short ids with
other characters, because a schema cannot count bytes."""

ThreadId: TypeAlias = Annotated[str, Meta(extra={"id": "thread"}, extra_json_schema=ID_SCHEMA)]
RunId: TypeAlias = Annotated[str, Meta(extra={"id": "run"}, extra_json_schema=ID_SCHEMA)]
MailboxId: TypeAlias = Annotated[str, Meta(extra={"id": "mailbox"}, extra_json_schema=ID_SCHEMA)]
EntryId: TypeAlias = Annotated[str, Meta(extra={"id": "entry"}, extra_json_schema=ID_SCHEMA)]
CollectionId: TypeAlias = Annotated[
    str, Meta(extra={"id": "collection"}, extra_json_schema=ID_SCHEMA)
]
# The types of a model's fields say which of them are ids, so a new field is checked at once.

OptionalRunId: TypeAlias = Annotated[str, Meta(extra={"id": "run", "may_be_empty": True})]
"""The id of a run, or the empty string for none: tirea's change sets have it so."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# The names of devices have three or four characters, or a $.
_PLAIN = re.compile(
    r"[A-Za-z0-9_-]{5,200}"
    r"|[A-Za-z0-9_-]{5,100}\.[A-Za-z0-9_-]{1,99}"  # such as a collection of documents
    r"|(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])$)[A-Za-z0-9_-]{1,4}"
)
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(?:[.:]|$)")


def check_id(kind: IdKind, value: object) -> str:
    """Return `value` if it is a valid id, else raise `InvalidId`.

    tirea refuses the empty id, separators, `..`, NUL and control characters. Treadle also
    refuses more than 200 bytes of UTF-8, lone surrogates and the device names Windows reserves.

    Raises:
        InvalidId: it is not a valid id; the error says why.
    """
    if not isinstance(value, str):
        raise InvalidId(kind, value, f"it must be a string, not {type(value).__name__}")
    if _PLAIN.fullmatch(value):  # most ids are uuids or slugs: one match tells that they are valid
        return value
    reason = _refusal(value)
    if reason is not None:
        raise InvalidId(kind, value, reason)
    return value


def is_id(value: str) -> bool:
    """Return whether `value` is a valid id."""
    return _PLAIN.fullmatch(value) is not None or _refusal(value) is None


def check_optional_id(kind: IdKind, value: object) -> None:
    """Raise `InvalidId` unless `value` is None or a valid id."""
    if value is not None:
        check_id(kind, value)


def check_ids(value: msgspec.Struct) -> None:
    """Check the ids in a struct and in the structs that its fields hold (not in tuples of them).

    Raises:
        InvalidId: one is not a valid id; the error says which kind it is, and why.
    """
    for field in _id_fields(type(value)):
        item = getattr(value, field.name)
        if item is field.default:
            continue
        if field.kind is None:
            if isinstance(item, msgspec.Struct):
                check_ids(item)
        elif type(item) is str and _PLAIN.fullmatch(item):
            continue
        elif not (item is None and field.may_be_none) and not (item == "" and field.may_be_empty):
            check_id(field.kind, item)


def first_id(value: msgspec.Struct) -> str | None:
    """Return the first id in a struct, or in the first struct that it holds, for error messages."""
    for field in _id_fields(type(value)):
        item = getattr(value, field.name)
        found = first_id(item) if isinstance(item, msgspec.Struct) else item
        if isinstance(found, str):
            return found
    return None


class _Field(msgspec.Struct, frozen=True):
    """A field that is an id, or (`kind` is None) a struct that may hold ids."""

    name: str
    kind: IdKind | None = None
    may_be_none: bool = False
    may_be_empty: bool = False
    default: object = None
    """Its default, which is allowed although it is not an id."""


@cache
def _id_fields(struct: type[msgspec.Struct]) -> tuple[_Field, ...]:
    # Cached, because the inspection takes far longer than the check itself.
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, StructType)  # noqa: S101
    defaults = {each.name: each.default for each in msgspec.structs.fields(struct)}
    fields: list[_Field] = []
    for field in info.fields:
        options = field.type.types if isinstance(field.type, UnionType) else (field.type,)
        for option in options:
            if isinstance(option, Metadata) and "id" in (extra := option.extra or {}):
                is_optional = any(isinstance(each, NoneType) for each in options)
                may_be_empty = extra.get("may_be_empty", False)
                default = defaults[field.name]
                fields.append(_Field(field.name, extra["id"], is_optional, may_be_empty, default))
            elif isinstance(option, StructType) and _id_fields(option.cls):
                fields.append(_Field(field.name))
    return tuple(fields)


def _refusal(value: str) -> str | None:
    if not value:
        return "it must not be empty"
    if "/" in value or "\\" in value:
        return "it must not contain / or \\"
    if ".." in value:
        return "it must not contain .."
    if _CONTROL.search(value):
        return "it must not contain control characters"
    if _DEVICE.match(value):
        return "it is a device name reserved by Windows"
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        return "it must be valid Unicode, without lone surrogates"
    if size > ID_BYTES:
        return f"it must be at most {ID_BYTES} bytes of UTF-8, not {size}"
    return None
