"""The routes of the HTTP API as Markdown, made from its operations."""

from collections.abc import Iterator
from typing import Any

from treadle.http._input import Body, allowed_fields, inspected
from treadle.http._operation import EVENTS, Operation
from treadle.http._operations import OPERATIONS


def written_operations() -> str:
    """Return a section for each operation."""
    return "\n\n".join("\n".join(_section(operation)) for operation in OPERATIONS)


def _section(operation: Operation) -> Iterator[str]:
    yield f"### `{operation.method} {operation.path}`\n"
    yield " ".join(filter(None, [operation.summary, operation.details]))
    yield ""
    if operation.action is not None:
        yield f"- Needs `{operation.action}`. Owner rule: {operation.owner.text}."
    parameters = operation.parameters
    if parameters is not None and parameters.shapes:
        yield f"- Query: {_names(parameters.shapes)}."
    if operation.headers:
        yield f"- Headers: {_names(operation.headers)}."
    if operation.body is not None:
        yield f"- Body: {_body(operation.body, operation.ids)}."
    yield f"- Answers: {', '.join(_answer(*item) for item in operation.answers.items())}."


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _body(body: type[Body], ids: tuple[str, ...]) -> str:
    hidden = {*ids, "now", "<extra>"}
    names = [each.encode_name for each in inspected(body).fields if each.encode_name not in hidden]
    others = "" if allowed_fields(body, ids) is not None else "others, which are kept"
    return " and ".join(filter(None, [_names(names), others])) or "an empty object, or none"


def _answer(status: int, kind: Any) -> str:
    if kind == EVENTS:
        return f"{status} a stream of events"
    if kind is None:
        return str(status)
    name = getattr(kind, "__args__", None)
    if kind.__class__.__name__ == "GenericAlias" and name:
        shown = "an object" if kind.__origin__ is dict else f"a list of `{name[0].__name__}`"
        return f"{status} {shown}"
    return f"{status} `{kind.__name__}`"
