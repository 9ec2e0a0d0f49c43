"""`treadle mailboxes why`: what an entry waits for, in sentences."""

import shlex
from typing import assert_never

import click

from treadle.cli.opening import read_store
from treadle.cli.options import json_option, store_option
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.core.claims import has_expired
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
        "treadle mailboxes why bike-squeaky-brakes --json | jq .obstacles",
    ),
)
@store_option()
@click.argument("any_id", metavar="ENTRY|MAILBOX")
@json_option
def why(any_id: str, as_json: bool) -> None:
    """Say why an entry does not run.

    It names what the entry waits for, who holds it or its mailbox, whose lease has expired, or how
    it ended. For a mailbox it is about the oldest entry that waits there, or that a worker holds.

    --json: {"entry": {...}, "mailbox": {...}, "now": N, "obstacles": [{"kind", ...}]}.
    """

    async def read(store: Store) -> Explanation:
        found = await store.mailboxes.explain(any_id)
        if found is None:
            found = await store.mailboxes.explain(await _oldest_entry(store, any_id))
        if found is None:
            raise NotFound("entry or mailbox", any_id)
        return found

    explanation = read_store(read)
    if as_json:
        write_json(to_plain(explanation))
        return
    found = explanation.entry
    if found.entry_id != any_id:
        write_line(
            f"{any_id} is a mailbox; its oldest entry that has not ended is {found.entry_id}"
        )
    write_line(f"{found.entry_id} in mailbox {found.mailbox_id} is {found.status}")
    if has_expired(found, explanation.now):
        ended = time_text(found.lease_until)
        holder = one_line(found.claimed_by or "a worker")
        write_line(f"- the lease of {holder} ended at {ended}: the worker may have died")
    for obstacle in explanation.obstacles:
        write_line(f"- {one_line(_sentence(obstacle, explanation))}")
    if not explanation.obstacles:
        write_line("- it is next: the first worker that claims from its mailbox gets it")


async def _oldest_entry(store: Store, mailbox_id: str) -> str:
    """Return the id of the oldest entry of a mailbox that waits, or else that a worker holds.

    Raises:
        NotFound: there is neither an entry nor a mailbox with this id.
        Failure: the mailbox has no such entry.
    """
    if await store.mailboxes.load(mailbox_id) is None:
        raise NotFound("entry or mailbox", mailbox_id)
    for status in ("queued", "claimed"):
        page = await store.mailboxes.list_entries(mailbox_id=mailbox_id, status=status, limit=1)
        if page.items:
            return page.items[0].entry_id
    raise Failure(
        f"{mailbox_id!r} is a mailbox, and no entry waits there; "
        f"`treadle mailboxes entries --mailbox {shlex.quote(mailbox_id)}` lists those that ended"
    )


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
