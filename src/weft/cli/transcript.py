"""A conversation as a person reads it."""

from typing import cast

import click
import msgspec

from weft.cli.output import counted, time_text, write_line
from weft.core.codec import Json
from weft.core.messages import Message
from weft.core.threads import Thread, ThreadHead

_COLOURS = {"user": "cyan", "assistant": "green", "tool": "yellow", "system": "magenta"}

_TIMES = frozenset({"available_at", "created_at", "updated_at", "lease_until"})


def write_transcript(head: ThreadHead, last: int | None) -> None:
    """The thread's facts, then its messages, or the `last` ones of them."""
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
        write_line(_pretty(thread.rebuild_state()))


def _facts(head: ThreadHead) -> str:
    thread = head.thread
    facts = [
        counted(len(thread.messages), "message"),
        f"version {head.version}",
        f"created {time_text(thread.metadata.created_at)}",
        f"updated {time_text(thread.metadata.updated_at)}",
    ]
    return ", ".join([*facts, *_relations(thread)])


def _relations(thread: Thread) -> list[str]:
    owner = [f"resource {thread.resource_id}"] if thread.resource_id else []
    parent = [f"under {thread.parent_thread_id}"] if thread.parent_thread_id else []
    return [*owner, *parent]


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
        arguments = msgspec.json.encode(call.arguments).decode()
        write_line(f"→ {call.name}({arguments})", fg="yellow")


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


def _pretty(value: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def write_fields(fields: dict[str, Json]) -> None:
    """A record as lines of `name  value`."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{click.style(f'{name:<{width}}', bold=True)}  ", nl=False)
        write_line(_field_text(value, is_time=name in _TIMES))


def _field_text(value: Json, *, is_time: bool) -> str:
    if is_time and isinstance(value, int):
        return time_text(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
