"""`treadle threads follow`: show what is said in a conversation, as it is said."""

from typing import assert_never

import click
import msgspec

from treadle.cli.opening import read_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.live_text import LiveText
from treadle.cli.terminal.output import time_text, write_bytes, write_line
from treadle.cli.terminal.transcript import message_text
from treadle.core.codec import Json, to_plain
from treadle.core.escaping import harmless_json, one_line
from treadle.core.following import (
    LiveItem,
    LiveValue,
    RunEnded,
    ThreadDeleted,
    ThreadReset,
)
from treadle.core.threads import ThreadDelta
from treadle.store.store import Store


@click.command(
    "follow",
    cls=ExampleCommand,
    examples=(
        "treadle threads follow bike-squeaky-brakes",
        "treadle threads follow bike-squeaky-brakes --after 0",
        "treadle threads follow bike-squeaky-brakes --live      # tokens as they come, too",
        "treadle threads follow bike-squeaky-brakes --json | jq -c .delta",
    ),
)
@store_option()
@click.argument("thread_id", metavar="THREAD")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Begin after this version; otherwise only what is new is shown.",
)
@click.option("--live", is_flag=True, help="Show answers while they are written, too.")
@json_option
def follow_thread(thread_id: str, after: int | None, live: bool, as_json: bool) -> None:
    """Show what is said in a conversation, as it is said.

    It ends when the thread is deleted, or with Ctrl-C. The store is only read. With --live, a line
    that begins with … grows while an answer is written, and the answer follows when it is
    committed; one that is not continued was given up.

    --json: one line for each: {"delta": {...}}, {"reset": {...}} or {"deleted": id}, and with
    --live {"live": value} and {"run_ended": {...}}.
    """
    text = LiveText()

    async def follow(store: Store) -> None:
        async for item in store.threads.follow(thread_id, after, live=live):
            if as_json:
                write_bytes(harmless_json(msgspec.json.encode(_plain(item))) + b"\n")
            elif isinstance(item, LiveValue):
                text.show(item.value)
            else:
                text.end()
                write_line("\n".join(_lines(item)))
                if isinstance(item, ThreadDelta):
                    text.note_committed(*item.changes.messages)

    read_store(follow)


def _plain(item: LiveItem) -> Json:
    match item:
        case LiveValue():
            return {"live": item.value}
        case RunEnded():
            return {"run_ended": to_plain(item)}
        case ThreadDelta():
            return {"delta": to_plain(item)}
        case ThreadReset():
            return {"reset": to_plain(item.head)}
        case ThreadDeleted():
            return {"deleted": item.thread_id}
        case _:
            assert_never(item)


def _lines(item: ThreadDelta | ThreadReset | ThreadDeleted | RunEnded) -> list[str]:
    match item:
        case RunEnded():
            why = f" ({item.termination_code})" if item.termination_code else ""
            return [f"run {item.run_id} is {item.status}{why}"]
        case ThreadDelta():
            return _delta_lines(item)
        case ThreadReset():
            count = counted(len(item.head.thread.messages), "message")
            return [f"{item.head.version}  the thread was replaced, and has {count}"]
        case ThreadDeleted():
            return ["the thread was deleted"]
        case _:
            assert_never(item)


def _delta_lines(delta: ThreadDelta) -> list[str]:
    changes = delta.changes
    begin = f"{delta.version}  {time_text(delta.committed_at)}"
    lines = [
        f"{begin}  {message.role}: {one_line(message_text(message))}"
        for message in changes.messages
    ]
    if changes.truncated_to is not None:
        lines.append(f"{begin}  truncated to {counted(changes.truncated_to, 'message')}")
    return lines or [f"{begin}  no messages"]
