"""The script of the chat guide's page, in Node, with the events that its service sends."""

import asyncio
import json
import shutil
import subprocess
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.docs.chat_service import blocks
from treadle import (
    Message,
    MessageMetadata,
    RunMeta,
    Thread,
    ThreadChangeSet,
    ThreadDelta,
    encode,
    open_store,
)

NODE = shutil.which("node")

BROWSER = """
globalThis.fetch = async () => ({ json: async () => ({ thread: { messages: [] }, version: 0 }) });
const listeners = {};
globalThis.EventSource = class {
  addEventListener(kind, listener) { (listeners[kind] ??= []).push(listener); }
};
const chat = "c";
"""
SHOWN = """
for (const [kind, data] of JSON.parse(process.argv[2])) {
  for (const listener of listeners[kind] ?? []) listener({ data });
  const written = Object.values(drafts).map((each) => each.pieces.join(""));
  console.log(JSON.stringify([messages.map((each) => each.content), written, question]));
}
"""


async def events_of_a_turn() -> list[tuple[str, str]]:
    """Return the events of an answer that is shown while it is written, as kinds and data."""
    answer = Message.assistant("Hello", id="m1", metadata=MessageMetadata(run_id="r"))
    turn = ThreadChangeSet(messages=(answer,), run_id="r", run_meta=RunMeta(agent_id="a"))
    async with open_store("memory:") as store:
        await store.threads.create(Thread(id="c"))
        message = store.live.message("c", "m1", run_id="r")
        async with aclosing(store.threads.follow("c", 0, live=True, idle_ms=50)) as items:
            assert await anext(items) is None  # it follows from now on
            events: list[tuple[str, str]] = []
            for write in (
                message.reasoning("hm"),
                message.text("Hel"),
                message.text("lo"),
                store.threads.append("c", turn),
            ):
                await write
                while (item := await anext(items)) is None:
                    pass
                kind = "delta" if isinstance(item, ThreadDelta) else "piece"
                events.append((kind, encode(item).decode()))
    return events


@pytest.mark.skipif(NODE is None, reason="there is no Node to run the script")
def test_the_page_shows_an_answer_while_it_is_written(tmp_path: Path) -> None:
    [script] = blocks("js")
    file = tmp_path / "page.mjs"
    file.write_text(BROWSER + script + SHOWN)
    events = asyncio.run(events_of_a_turn())
    done = subprocess.run(
        [str(NODE), str(file), json.dumps(events)], check=True, capture_output=True, text=True
    )
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert shown == [
        [[], [], None],
        [[], ["Hel"], None],
        [[], ["Hello"], None],
        [["Hello"], [], None],
    ]
