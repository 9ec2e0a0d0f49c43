"""`treadle mailboxes why`: what an entry waits for, in sentences."""

from typing import assert_never

import click

from treadle.cli.opening import read_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.core.codec import to_plain
from treadle.core.escaping import one_line
from treadle.core.explaining import Explanation, Obstacle
from treadle.errors import NotFound
from treadle.store.store import Store


@click.command(
    "why",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes why 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        "treadle mailboxes why 0196a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b --json | jq .obstacles",
    ),
)
@store_option()
@click.argument("entry")
@json_option
def why(entry: str, as_json: bool) -> None:
    """Say why an entry does not run.

    It names what the entry waits for, who holds it or its mailbox, or how it ended.

    --json: {"entry": {...}, "mailbox": {...}, "now": N, "obstacles": [{"kind", ...}]}.
    """

    async def read(store: Store) -> Explanation:
        found = await store.mailboxes.explain(entry)
        if found is None:
            raise NotFound("mailbox entry", entry)
        return found

    explanation = read_store(read)
    if as_json:
        write_json(to_plain(explanation))
        return
    found = explanation.entry
    write_line(f"{found.entry_id} in mailbox {found.mailbox_id} is {found.status}")
    for obstacle in explanation.obstacles:
        write_line(f"- {one_line(_sentence(obstacle, explanation))}")
    if not explanation.obstacles:
        write_line("- it is next: the first worker that claims from its mailbox gets it")


def _sentence(obstacle: Obstacle, explanation: Explanation) -> str:
    """An obstacle in words."""
    entry, others = explanation.entry, ", ".join(obstacle.entry_ids)
    match obstacle.kind:
        case "ended":
            return _with_reason(f"it ended at {time_text(obstacle.since)}", obstacle)
        case "held":
            together = f", together with {others}" if others else ""
            return f"{obstacle.holder} holds it {_until(obstacle)}{together}"
        case "not_due":
            return _with_reason(f"it is due at {time_text(obstacle.until)}", obstacle)
        case "paused":
            end = _until(obstacle) if obstacle.until else "until it is resumed"
            since = f"its mailbox has been paused since {time_text(obstacle.since)}, {end}"
            return _with_reason(since, obstacle)
        case "mailbox_held":
            return f"{obstacle.holder} holds its mailbox {_until(obstacle)}, with {others}"
        case "behind_retry":
            waits = f"{others} comes first, and waits for its retry at {time_text(obstacle.until)}"
            return _with_reason(waits, obstacle)
        case "behind_entry":
            return f"{others} comes first"
        case "older_generation":
            present = explanation.mailbox.current_generation if explanation.mailbox else ""
            generations = f"it is of generation {entry.generation}, the mailbox at {present}"
            return f"its mailbox has been interrupted since: {generations}"
        case _:
            assert_never(obstacle.kind)


def _until(obstacle: Obstacle) -> str:
    return f"until {time_text(obstacle.until)}" if obstacle.until else "without an end"


def _with_reason(text: str, obstacle: Obstacle) -> str:
    return f"{text}: {obstacle.reason}" if obstacle.reason else text
