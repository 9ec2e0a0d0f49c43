"""What clients get: values of the store as JSON, without what is not for them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import msgspec
from msgspec.inspect import StructType, UnionType, VarTupleType
from starlette.responses import Response

from treadle.core.codec import Model, encode
from treadle.core.mailboxes import MailboxEntry
from treadle.http._call import Call
from treadle.http._input import inspected
from treadle.http._payloads import is_external, with_messages
from treadle.http._responses import JsonResponse


def answer(
    call: Call,
    value: Model | tuple[Model, ...],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    with_tokens: bool = False,
) -> Response:
    """Return the answer that holds a value.

    Args:
        call: the call that is answered.
        value: a value of the store; a tuple becomes an array.
        status: the status of the answer.
        headers: further headers.
        with_tokens: leave the claim tokens of entries in it; for the client that claims them.
    """
    shown = _shown(value, tokens=with_tokens, internal=call.can("read_internal"))
    return JsonResponse(_encoded(shown), status, headers)


def answer_results(call: Call, results: Sequence[Any], with_tokens: Sequence[bool]) -> Response:
    """Return the answer that holds the results of a batch.

    Args:
        call: the call that is answered.
        results: the results, in the order of the commands.
        with_tokens: for each of them, whether the claim tokens stay in it.
    """
    internal = call.can("read_internal")
    shown = tuple(
        _shown(result, tokens=tokens, internal=internal)
        for result, tokens in zip(results, with_tokens, strict=True)
    )
    return JsonResponse(b'{"results":' + _encoded(shown) + b"}")


def _encoded(value: Any) -> bytes:
    if isinstance(value, tuple):
        return b"[" + b",".join(map(_encoded, cast("tuple[Model, ...]", value))) + b"]"
    return encode(value) if isinstance(value, Model) else msgspec.json.encode(value)


def _shown(value: Any, *, tokens: bool, internal: bool) -> Any:
    """The value without claim tokens and what is internal, wherever entries are in it."""
    if isinstance(value, tuple):
        return tuple(_shown(item, tokens=tokens, internal=internal) for item in value)
    if isinstance(value, MailboxEntry):
        return shown_entry(value, token=tokens, internal=internal)
    if not isinstance(value, msgspec.Struct):
        return value
    changes: dict[str, Any] = {}
    for name in _fields_with_entries(type(value)):
        held = getattr(value, name)
        shown = _shown(held, tokens=tokens, internal=internal)
        if shown is not held:
            changes[name] = shown
    return msgspec.structs.replace(value, **changes) if changes else value


def shown_entry(entry: MailboxEntry, *, internal: bool, token: bool = False) -> MailboxEntry:
    """Return an entry without its claim token, and without what is internal.

    Args:
        entry: the entry.
        internal: leave what is internal in it; for principals that may read that.
        token: leave the claim token and all of the payload in it; for the holder of the claim.
    """
    if not internal:
        entry = msgspec.structs.replace(entry, last_traceback=None)
    if token:  # who holds the claim works on all of the payload
        return entry
    payload = entry.payload if internal else with_messages(entry.payload, is_external)
    if entry.claim_token is None and payload is entry.payload:
        return entry
    return msgspec.structs.replace(entry, claim_token=None, payload=payload)


@cache
def _fields_with_entries(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in inspected(kind).fields if _may_hold_entry(field.type))


def _may_hold_entry(kind: msgspec.inspect.Type) -> bool:
    match kind:
        case UnionType(types):
            return any(map(_may_hold_entry, types))
        case VarTupleType(item_type):
            return _may_hold_entry(item_type)
        case StructType(cls):
            return issubclass(cls, MailboxEntry) or bool(_fields_with_entries(cls))
        case _:
            return False
