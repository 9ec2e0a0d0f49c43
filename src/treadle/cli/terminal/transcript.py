"""Conversations for people to read."""

from typing import cast

import msgspec

from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.output import time_text, write_line
from treadle.core.codec import Json
from treadle.core.messages import Message, ToolCall
from treadle.core.threads import Thread, ThreadHead
from treadle.errors import PatchError

_COLOURS = {"user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta"}


def write_transcript(head: ThreadHead, last: int | None) -> None:
    """Write what is known of the thread, then its messages, or only the `last` ones."""
    thread = head.thread
    write_line(thread.id, bold=True)
    write_line(_facts(head))
    first = 0 if last is None else max(len(thread.messages) - last, 0)
    if first:
        write_line(f"({counted(first, 'earlier message')})", dim=True)
    for position, message in enumerate(thread.messages[first:], start=first):
        _write_message(position, message)
    if thread.state is not None or thread.patches:
        write_line()
        write_line("state", bold=True)
        write_line(_state_text(thread))


def message_text(message: Message) -> str:
    """The content of a message, then its calls of tools, on lines of their own."""
    content = [_text(message.content)] if message.content else []
    return "\n".join([*content, *map(_call_text, message.tool_calls or ())])


def _facts(head: ThreadHead) -> str:
    thread = head.thread
    facts = {
        "version": str(head.version),
        "created": time_text(thread.metadata.created_at),
        "updated": time_text(thread.metadata.updated_at),
        "owner": thread.resource_id,
        "under": thread.parent_thread_id,
    }
    known = (f"{name} {fact}" for name, fact in facts.items() if fact)
    return ", ".join((counted(len(thread.messages), "message"), *known))


def _write_message(position: int, message: Message) -> None:
    write_line()
    title = f"[{position}] {message.role}"
    name = message.extra.get("name")
    if isinstance(name, str):
        title += f" {name}"
    if message.visibility != "all":
        title += f" ({message.visibility})"
    write_line(title, bold=True, fg=_COLOURS.get(message.role))
    if message.content:
        write_line(_text(message.content))
    for call in message.tool_calls or ():
        write_line(_call_text(call), fg="yellow")


def _call_text(call: ToolCall) -> str:
    return f"→ {call.name}({msgspec.json.encode(call.arguments).decode()})"


def _text(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_part_text(part) for part in content)


def _part_text(part: Json) -> str:
    if isinstance(part, dict):
        text = cast("dict[str, Json]", part).get("text")
        if isinstance(text, str):
            return text
    return msgspec.json.encode(part).decode()


def _state_text(thread: Thread) -> str:
    try:
        return _pretty(thread.rebuild_state())
    except PatchError as error:
        unpatched = _pretty(thread.state)
        return (
            f"{unpatched}\nwithout its patches, which cannot be applied: {error}; append a snapshot"
        )


def _pretty(value: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
