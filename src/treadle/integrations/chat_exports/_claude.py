"""Claude's conversations.

Anthropic documents no format of its exports. What is here is what public programs read, and the
real exports that they were tested with:

- brandtcormorant/claude-json-schema, `schema/claude-json-schema.json`: a conversation with `uuid`,
  `name`, `created_at`, `updated_at`, `account` and `chat_messages`; a message with `uuid`,
  `sender`, `text`, `content`, `attachments` (`file_name`, `file_size`, `file_type`,
  `extracted_content`) and `files`; blocks without ids, as older exports have them.
- Sinity/polylogue, `polylogue/sources/parsers/claude/ai_parser.py`: `current_leaf_message_uuid`,
  `summary`, and the archive (`docs/providers/claude-ai.md`).
- Exports from 2026 that people have published: `parent_message_uuid`, which is
  `00000000-0000-4000-8000-000000000000` for a first message; blocks `text`, `thinking`, `tool_use`
  and `tool_result` in one message of the assistant, with `id`, `tool_use_id`, `is_error`,
  `start_timestamp` and what the web page shows of them; questions that are attachments only.
- The current branch is the newest one where an export does not name it, as programs that show such
  exports choose it.
"""

from itertools import islice
from typing import cast

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message, Role, ToolCall
from treadle.core.threads import ThreadMetadata
from treadle.errors import InvalidValue, shorten
from treadle.integrations._blocks import text_of, with_layout
from treadle.integrations._parts import CLAUDE_EXPORT
from treadle.integrations._values import as_list, as_object, as_text
from treadle.integrations.chat_exports._conversations import (
    OPEN_CALLS,
    Conversation,
    Program,
    as_milliseconds,
    list_of,
    without_nulls,
)
from treadle.integrations.chat_exports._trees import Tree

_ROLES: dict[str, Role] = {"human": "user", "assistant": "assistant"}
_BLOCK_FIELDS = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
}
"""What a model takes of a block. The other fields are those of the web page."""


def _id_of(fields: dict[str, Json]) -> str:
    """Return the id of a conversation."""
    return as_text(fields.get("uuid"), "uuid")


def _read(fields: dict[str, Json]) -> Conversation:
    """Return the conversation.

    Raises:
        InvalidValue: it is not one.
    """
    chats: dict[str, dict[str, Json]] = {}
    parents: dict[str, str | None] = {}
    before: str | None = None
    for index, each in enumerate(as_list(fields.get("chat_messages"), "chat_messages")):
        where = f"chat_messages[{index}]"
        chat = as_object(each, where)
        uuid = as_text(chat.get("uuid"), f"{where}.uuid")
        if uuid in chats:
            raise InvalidValue(f"{where}.uuid", "another message has it, too")
        parents[uuid] = _parent(chat, before, where)
        chats[uuid] = chat
        before = uuid
    tree = Tree(parents)
    times = {uuid: as_milliseconds(chat.get("created_at")) for uuid, chat in chats.items()}
    current = fields.get("current_leaf_message_uuid")
    is_known = isinstance(current, str) and current in chats
    return Conversation(
        id=_id_of(fields),
        metadata=_metadata(fields),
        tree=tree,
        messages={
            uuid: _read_message(uuid, chat, f"chat_messages[{index}]")
            for index, (uuid, chat) in enumerate(chats.items())
        },
        current=cast("str", current) if is_known else tree.newest_leaf(times),
        files=frozenset(file for chat in chats.values() for file in _files(chat)),
    )


def _parent(chat: dict[str, Json], before: str | None, where: str) -> str | None:
    """Return the message that another one answers; older exports have no branches."""
    if "parent_message_uuid" not in chat:
        return before
    parent = chat["parent_message_uuid"]
    return None if parent is None else as_text(parent, f"{where}.parent_message_uuid")


def _metadata(fields: dict[str, Json]) -> ThreadMetadata:
    name = fields.get("name")
    kept = without_nulls(fields, "chat_messages", *(("name",) if isinstance(name, str) else ()))
    extra: dict[str, Json] = {"title": name} if isinstance(name, str) else {}
    return ThreadMetadata(
        created_at=as_milliseconds(fields.get("created_at")), extra={**extra, CLAUDE_EXPORT: kept}
    )


# --- messages -------------------------------------------------------------------------------------


def _read_message(uuid: str, fields: dict[str, Json], where: str) -> tuple[Message, ...]:
    """Return a message for what is said before a result of a tool, each result, and what follows.

    The first one has the further fields of the whole.
    """
    sender = as_text(fields.get("sender"), f"{where}.sender")
    role = _ROLES.get(sender)
    if role is None:
        names = ", ".join(_ROLES)
        raise InvalidValue(f"{where}.sender", f"it must be {names}, not {shorten(sender)}")
    blocks, further = _read_fields(fields, where)
    turn = _Turn(uuid, role)
    for index, block in enumerate(blocks):
        turn.add(as_object(block, f"{where}.content[{index}]"), f"{where}.content[{index}]")
    return turn.messages(further)


def _read_fields(fields: dict[str, Json], where: str) -> tuple[list[Json], dict[str, Json]]:
    """Return the blocks of a message, with its attachments, and its further fields."""
    blocks = list_of(fields.get("content"), f"{where}.content")
    text = fields.get("text")
    further = without_nulls(fields, "uuid", "sender", "content", "attachments")
    if isinstance(text, str):
        if not blocks and text:
            blocks = [{"type": "text", "text": text}]
        if _words(_texts(blocks)) == text.split():
            further.pop("text", None)
    documents: list[Json] = []
    attachments: list[Json] = []
    for each in list_of(fields.get("attachments"), f"{where}.attachments"):
        match each:
            case {"extracted_content": str() as data, **rest} if data:
                documents.append(_as_document(data, rest.get("file_name")))
                attachments.append(cast("Json", rest))
            case _:
                attachments.append(each)
    if attachments:
        further["attachments"] = attachments
    return [*documents, *blocks], further


def _as_document(text: str, name: Json) -> Json:
    """Return an attachment as the block of Anthropic's format that has its text."""
    source = {"type": "text", "media_type": "text/plain", "data": text}
    title = {"title": name} if isinstance(name, str) and name else {}
    return {"type": "document", "source": source, **title}


def _texts(blocks: list[Json]) -> list[str]:
    return [
        block["text"]
        for block in blocks
        if isinstance(block, dict)
        and block.get("type") == "text"
        and isinstance(block.get("text"), str)
    ]


def _words(texts: list[str]) -> list[str]:
    return " ".join(texts).split()


class _Turn:
    """The messages of one message of an export, as far as its blocks are read."""

    def __init__(self, uuid: str, role: Role) -> None:
        self._uuid = uuid
        self._role: Role = role
        self._messages: list[Message] = []
        self._unanswered: dict[str, ToolCall] = {}
        self._content: list[Json] = []
        self._calls: list[ToolCall] = []
        self._calls_at: list[int] = []
        self._further: list[Json] = []
        """Of each block the fields that no model takes."""

    def add(self, block: dict[str, Json], where: str) -> None:
        """Read one more block."""
        match block.get("type"):
            case "tool_use":
                self._add_call(block, where)
            case "tool_result":
                if self._further:
                    self._say()
                self._add_result(block)
            case _:
                said, rest = _split(block)
                self._content.append(said)
                self._further.append(rest)

    def messages(self, further: dict[str, Json]) -> tuple[Message, ...]:
        """Return the messages; the first one gets the further fields of the whole."""
        if self._further or not self._messages:
            self._say()
        first, *others = self._messages
        extra = dict(first.extra)
        extra[CLAUDE_EXPORT] = {**further, **cast("dict[str, Json]", extra.get(CLAUDE_EXPORT, {}))}
        if not extra[CLAUDE_EXPORT]:
            del extra[CLAUDE_EXPORT]
        return (msgspec.structs.replace(first, extra=extra), *others)

    def _add_call(self, block: dict[str, Json], where: str) -> None:
        name = as_text(block.get("name"), f"{where}.name")
        call_id = block.get("id")
        if not isinstance(call_id, str):
            call_id = f"{self._uuid}-call-{len(self._messages)}-{len(self._further)}"
        call = ToolCall(id=call_id, name=name, arguments=block.get("input"))
        self._calls_at.append(len(self._further))
        self._calls.append(call)
        self._unanswered[call_id] = call
        taken = ("type", "name", "input", *(("id",) if block.get("id") == call_id else ()))
        self._further.append(without_nulls(block, *taken))

    def _add_result(self, block: dict[str, Json]) -> None:
        named = block.get("tool_use_id")
        call_id = named if isinstance(named, str) else self._open_call(block.get("name"))
        self._unanswered.pop(call_id or "", None)
        content, further = _read_result(block.get("content"))
        rest = without_nulls(
            block, "type", "content", *(("tool_use_id",) if named == call_id else ())
        )
        # As `anthropic_messages` keeps it, so that a model gets it.
        extra: dict[str, Json] = (
            {"is_error": rest.pop("is_error")} if rest.get("is_error") is True else {}
        )
        if any(further):
            rest["blocks"] = further
        message = Message(
            id=self._next_id(),
            role="tool",
            content=content,
            tool_call_id=call_id,
            extra=extra | ({CLAUDE_EXPORT: rest} if rest else {}),
        )
        self._messages.append(message)

    def _open_call(self, name: Json) -> str | None:
        """Return the last call of a tool that has no result; older exports have no ids."""
        calls = islice(reversed(self._unanswered.values()), OPEN_CALLS)
        return next((call.id for call in calls if name is None or call.name == name), None)

    def _say(self) -> None:
        """Make a message of what was said since the last result."""
        others = len(self._content)
        message = Message(
            id=self._next_id(),
            role=self._role,
            content=text_of(self._content) if self._content else "",
            tool_calls=tuple(self._calls) or None,
            extra={CLAUDE_EXPORT: {"blocks": self._further}} if any(self._further) else {},
        )
        if self._calls and self._calls_at != list(range(others, others + len(self._calls))):
            message = with_layout(message, calls_at=self._calls_at)
        self._messages.append(message)
        self._content, self._calls, self._calls_at, self._further = [], [], [], []

    def _next_id(self) -> str:
        count = len(self._messages)
        return f"{self._uuid}-{count}" if count else self._uuid


def _read_result(content: Json) -> tuple[str | list[Json], list[Json]]:
    """Return what a tool gave, and of each block the fields that no model takes."""
    match content:
        case None:
            return "", []
        case str():
            return content, []
        case list():
            split = [_split(block) for block in content]
            return (text_of([said for said, _ in split]) if split else ""), [
                rest for _, rest in split
            ]
        case _:
            return [_split(content)[0]], [_split(content)[1]]


def _split(block: Json) -> tuple[Json, dict[str, Json]]:
    """Return what a model takes of a block, and its further fields."""
    if not isinstance(block, dict):
        return {"type": "json", "json": block}, {}
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in _BLOCK_FIELDS:
        return block, {}
    names = _BLOCK_FIELDS[kind]
    if not isinstance(block.get(names[1]), str):
        return block, {}
    return {name: block[name] for name in names if block.get(name) is not None}, without_nulls(
        block, *names
    )


def _files(chat: dict[str, Json]) -> set[str]:
    """Return the files that a message names, and whose text it does not have."""
    found: set[str] = set()
    for name in ("files", "files_v2", "attachments"):
        listed = chat.get(name)
        for each in listed if isinstance(listed, list) else []:
            match each:
                case {"extracted_content": str() as text} if text:
                    pass
                case {"file_uuid": str() as file} | {"file_name": str() as file}:
                    found.add(file)
                case _:
                    pass
    return found


CLAUDE = Program(
    name="Claude",
    key=CLAUDE_EXPORT,
    messages="chat_messages",
    changed_at="updated_at",
    id_of=_id_of,
    read=_read,
)
