"""ChatGPT's conversations.

OpenAI documents no format of its exports. What is here is what public programs read, and the real
exports that they were tested with:

- pionxzh/chatgpt-exporter, `src/api.ts`: a conversation with `mapping` and `current_node`, whose
  nodes have `parent`, `children` and a `message`; the author's roles; the contents `text`, `code`,
  `execution_output`, `tether_quote`, `tether_browsing_display`, `multimodal_text` and
  `model_editable_context` with their fields; `recipient`, which names a tool; the images of
  `asset_pointer`.
- mitkury/chatgpt-export-parser, `docs/chatgpt-data-export-format.md`: the archive; times in
  seconds; `id` and `conversation_id`, one of which may be missing; the root without a message;
  regenerated answers and edited questions as further children.
- Sinity/polylogue, `polylogue/sources/parsers/chatgpt.py`: nodes without `children`, an order of
  `mapping` that differs between exports, `author.name` of a tool's results, messages of a tool that
  belong to the call before them.
- Its contents `thoughts`, `reasoning_recap` and `user_editable_context`, and the parts
  `audio_transcription` and `audio_asset_pointer`, are those of exports that people have published.
"""

from collections.abc import Iterator
from itertools import islice
from typing import cast

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message, Role, ToolCall
from treadle.core.threads import ThreadMetadata
from treadle.errors import InvalidValue, shorten
from treadle.integrations._parts import CHATGPT_EXPORT
from treadle.integrations._values import as_id, as_object
from treadle.integrations.chat_exports._conversations import (
    OPEN_CALLS,
    Conversation,
    Program,
    as_milliseconds,
    list_of,
    without_nulls,
)
from treadle.integrations.chat_exports._trees import Tree
from treadle.integrations.strict_json import read_json

_ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_TEXTS = {
    "code": ("text",),
    "execution_output": ("text",),
    "system_error": ("text",),
    "tether_quote": ("text",),
    "tether_browsing_display": ("result",),
    "model_editable_context": ("model_set_context",),
    "user_editable_context": ("user_profile", "user_instructions"),
}
"""The types of content that are texts, and the fields with them."""

_EVERYBODY = ("all", "")


class _Call(msgspec.Struct, frozen=True):
    """A call of the turn, and the calls before it."""

    tool: str
    id: str
    before: "_Call | None"


def _id_of(fields: dict[str, Json]) -> str:
    """Return the id of a conversation."""
    for name in ("conversation_id", "id"):
        if found := as_id(fields.get(name), name):
            return found
    raise InvalidValue("id", "the conversation has none")


def _read(fields: dict[str, Json]) -> Conversation:
    """Return the conversation.

    Raises:
        InvalidValue: it is not one.
    """
    nodes = {
        node: as_object(value, f"mapping.{node}")
        for node, value in as_object(fields.get("mapping"), "mapping").items()
    }
    tree = Tree(_parents(nodes))
    spoken = {node: _spoken(value, f"mapping.{node}") for node, value in nodes.items()}
    times = {node: as_milliseconds(said.get("create_time")) for node, said in spoken.items()}
    current = as_id(fields.get("current_node"), "current_node")
    return Conversation(
        id=_id_of(fields),
        metadata=_metadata(fields, nodes),
        tree=tree,
        messages=_read_messages(tree, spoken),
        current=current if current in nodes else tree.newest_leaf(times),
        files=frozenset(file for said in spoken.values() for file in _files(said)),
    )


def _parents(nodes: dict[str, dict[str, Json]]) -> dict[str, str | None]:
    """Return each node's parent, in the order in which a parent names its children."""
    named: dict[str, str] = {}
    order: dict[str, None] = {}
    for node, fields in nodes.items():
        children = list_of(fields.get("children"), f"mapping.{node}.children")
        for child in children:
            if isinstance(child, str) and child in nodes:
                named.setdefault(child, node)
                order.setdefault(child)
    order |= dict.fromkeys(nodes)
    return {
        node: as_id(nodes[node].get("parent"), f"mapping.{node}.parent") or named.get(node)
        for node in order
    }


def _spoken(node: dict[str, Json], where: str) -> dict[str, Json]:
    """Return the message of a node; an empty object if it has none."""
    message = node.get("message")
    return {} if message is None else as_object(message, f"{where}.message")


def _metadata(fields: dict[str, Json], nodes: dict[str, dict[str, Json]]) -> ThreadMetadata:
    title = fields.get("title")
    kept = without_nulls(fields, "mapping", *(("title",) if isinstance(title, str) else ()))
    further = {
        node: rest
        for node, value in nodes.items()
        if (rest := _without_structure(node, value, nodes))
    }
    if further:
        kept["nodes"] = cast("Json", further)
    extra: dict[str, Json] = {"title": title} if isinstance(title, str) else {}
    return ThreadMetadata(
        created_at=as_milliseconds(fields.get("create_time")), extra={**extra, CHATGPT_EXPORT: kept}
    )


def _without_structure(
    node: str, fields: dict[str, Json], nodes: dict[str, dict[str, Json]]
) -> dict[str, Json]:
    """Return the fields of a node that say more than its message and its branches do."""
    children = list_of(fields.get("children"), "children")
    is_known = {
        "message": True,
        "id": fields.get("id") == node,
        "parent": fields.get("parent") in nodes,
        "children": all(isinstance(child, str) and child in nodes for child in children),
    }
    return without_nulls(fields, *(name for name, known in is_known.items() if known))


# --- messages -------------------------------------------------------------------------------------


def _read_messages(
    tree: Tree, spoken: dict[str, dict[str, Json]]
) -> dict[str, tuple[Message, ...]]:
    messages: dict[str, tuple[Message, ...]] = {}
    calls: dict[str | None, _Call | None] = {None: None}
    for node in tree.order:
        calls[node] = before = calls[tree.parent(node)]
        if not spoken[node]:
            messages[node] = ()
            continue
        message = _read_message(node, spoken[node], before, f"mapping.{node}.message")
        messages[node] = (message,)
        if message.role == "user":
            calls[node] = None
        for call in message.tool_calls or ():
            calls[node] = _Call(_first_name(call.name), call.id, before)
    return messages


def _read_message(node: str, fields: dict[str, Json], calls: _Call | None, where: str) -> Message:
    author = as_object(fields.get("author"), f"{where}.author")
    role = _ROLES.get(cast("str", author.get("role")) if _is_text(author.get("role")) else "")
    if role is None:
        names = ", ".join(_ROLES)
        reason = f"it must be one of {names}, not {shorten(author.get('role'))}"
        raise InvalidValue(f"{where}.author.role", reason)
    content, rest = _read_content(fields.get("content"), f"{where}.content")
    recipient = fields.get("recipient")
    call: ToolCall | None = None
    if role == "assistant" and isinstance(recipient, str) and recipient not in _EVERYBODY:
        call, content = _read_call(node, recipient, content)
    known = ("author", "content", *(("recipient",) if call or recipient == "all" else ()))
    extra = without_nulls(fields, *known, *(("id",) if fields.get("id") == node else ()))
    further = without_nulls(author, "role", *(() if author.get("metadata") else ("metadata",)))
    extra |= {name: value for name, value in (("author", further), ("content", rest)) if value}
    return Message(
        id=node,
        role=role,
        content=content,
        tool_calls=None if call is None else (call,),
        tool_call_id=_answered(author, calls) if role == "tool" else None,
        visibility="internal" if _is_hidden(fields) else "all",
        extra={CHATGPT_EXPORT: extra} if extra else {},
    )


def _read_call(
    node: str, tool: str, content: str | list[Json]
) -> tuple[ToolCall | None, str | list[Json]]:
    """Return the call that a text to a tool is, and what remains as content."""
    if not isinstance(content, str):
        return None, content
    try:
        arguments = read_json(content, "arguments")
    except InvalidValue:
        arguments = None
    if isinstance(arguments, dict):
        return ToolCall(id=node, name=tool, arguments=arguments), ""
    return ToolCall(id=node, name=tool, arguments=content, extra={"type": "custom"}), ""


def _answered(author: dict[str, Json], calls: _Call | None) -> str | None:
    """Return the id of the last call of a tool in this turn; one call may have several results."""
    name = author.get("name")
    if not isinstance(name, str):
        return None
    tool = _first_name(name)
    recent = islice(_back(calls), OPEN_CALLS)
    return next((call.id for call in recent if call.tool == tool), None)


def _back(call: _Call | None) -> Iterator[_Call]:
    while call is not None:
        yield call
        call = call.before


def _first_name(name: str) -> str:
    """Return the tool of a name: `browser` answers `browser.open`, too."""
    return name.partition(".")[0]


def _is_hidden(fields: dict[str, Json]) -> bool:
    metadata = fields.get("metadata")
    return (
        isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation") is True
    )


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


# --- contents -------------------------------------------------------------------------------------


def _read_content(content: Json, where: str) -> tuple[str | list[Json], dict[str, Json]]:
    """Return what was said, and the further fields."""
    if content is None:
        return "", {}
    fields = as_object(content, where)
    kind = fields.get("content_type")
    match kind:
        case "text" | "multimodal_text" if isinstance(fields.get("parts"), list):
            parts = cast("list[Json]", fields["parts"])
            further = without_nulls(fields, "content_type", "parts")
            if kind != "text" and all(map(_is_text, parts)):
                further["content_type"] = kind
            return _as_content(parts), further
        case "thoughts" if _are_thoughts(fields.get("thoughts")):
            thoughts = cast("list[dict[str, Json]]", fields["thoughts"])
            blocks: list[Json] = [_as_thinking(thought) for thought in thoughts]
            return blocks, without_nulls(fields, "thoughts")
        case str() if kind in _TEXTS:
            return _read_texts(fields, _TEXTS[kind])
        case _:
            return [_as_part(fields)], {}


def _read_texts(
    fields: dict[str, Json], names: tuple[str, ...]
) -> tuple[str | list[Json], dict[str, Json]]:
    texts = [name for name in names if isinstance(fields.get(name), str)]
    return _as_content([fields[name] for name in texts]), without_nulls(fields, *texts)


def _as_content(parts: list[Json]) -> str | list[Json]:
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return [_as_part(part) for part in parts]


def _as_part(part: Json) -> Json:
    match part:
        case str():
            return {"type": "text", "text": part}
        case {"content_type": str() as kind, **further} if "type" not in further:
            return {"type": kind, **further}
        case _:
            return {"type": "json", "json": part}


def _are_thoughts(value: Json) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("content"), str)
        and not {"type", "thinking"} & each.keys()
        for each in value
    )


def _as_thinking(thought: dict[str, Json]) -> Json:
    """Return a thought as a block of Anthropic's format, as all of Treadle keeps it."""
    return {
        "type": "thinking",
        "thinking": thought["content"],
        **without_nulls(thought, "content"),
    }


def _files(message: dict[str, Json]) -> Iterator[str]:
    """Yield the ids of the files that a message names."""
    match message.get("content"):
        case {"parts": list() as parts}:
            for part in parts:
                yield from _pointers(part)
        case _:
            pass
    match message.get("metadata"):
        case {"attachments": list() as attachments}:
            for each in attachments:
                if isinstance(each, dict) and isinstance(file := each.get("id"), str):
                    yield file
        case _:
            pass


def _pointers(part: Json) -> Iterator[str]:
    match part:
        case {"asset_pointer": str() as pointer}:
            yield pointer.rpartition("://")[2]
        case {"audio_asset_pointer": {"asset_pointer": str() as pointer}}:
            yield pointer.rpartition("://")[2]
        case _:
            pass


CHATGPT = Program(
    name="ChatGPT",
    key=CHATGPT_EXPORT,
    messages="mapping",
    changed_at="update_time",
    id_of=_id_of,
    read=_read,
)
