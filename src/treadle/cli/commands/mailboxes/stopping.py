"""`treadle mailboxes interrupt`, `pause` and `resume`: stop work, and let it go on."""

import click

from treadle.cli.opening import change_store
from treadle.cli.options import (
    duration,
    json_option,
    store_option,
)
from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import time_text, write_json, write_line
from treadle.clock import system_clock
from treadle.core.codec import to_plain
from treadle.core.mailboxes import (
    MailboxState,
)
from treadle.errors import NotFound
from treadle.store.store import Store


@click.command(
    "interrupt", cls=ExampleCommand, examples=("treadle mailboxes interrupt bike-squeaky-brakes",)
)
@store_option()
@click.argument("mailbox")
@json_option
def interrupt(mailbox: str, as_json: bool) -> None:
    """Stop all work in a mailbox.

    The unfinished entries in MAILBOX are superseded, and its worker is stopped. The mailbox gets a
    new generation, and entries sent from now on are processed as usual.

    --json: {"mailbox_state": {...}, "superseded_entries": [entries]}.
    """
    result = change_store(lambda store: store.mailboxes.interrupt(mailbox))
    if as_json:
        write_json(to_plain(result))
        return
    count = counted(len(result.superseded_entries), "entry", "entries")
    generation = result.mailbox_state.current_generation
    write_line(f"superseded {count}; {mailbox} is at generation {generation}")


@click.command(
    "pause",
    cls=ExampleCommand,
    examples=(
        "treadle mailboxes pause bike-squeaky-brakes --reason 'the model is down'",
        "treadle mailboxes pause bike-squeaky-brakes --for 2h",
    ),
)
@store_option()
@click.argument("mailbox")
@click.option(
    "--for", "length", type=duration, metavar="DURATION", help="How long; default: until resumed."
)
@click.option("--reason", metavar="TEXT", help="Why, for those who look at the mailbox.")
@json_option
def pause(mailbox: str, length: int | None, reason: str | None, as_json: bool) -> None:
    """Keep workers from claiming entries of a mailbox.

    MAILBOX still takes what is sent to it. An entry that a worker holds already is not stopped.

    --json: {"mailbox_id", "paused_at", ...}.
    """
    until = None if length is None else system_clock() + length
    state = change_store(lambda store: store.mailboxes.pause(mailbox, until=until, reason=reason))
    end = "it is resumed" if state.paused_until is None else time_text(state.paused_until)
    _write_state(state, f"{mailbox} is paused until {end}", as_json=as_json)


@click.command(
    "resume", cls=ExampleCommand, examples=("treadle mailboxes resume bike-squeaky-brakes",)
)
@store_option()
@click.argument("mailbox")
@json_option
def resume(mailbox: str, as_json: bool) -> None:
    """End the pause of a mailbox.

    --json: {"mailbox_id", "current_generation", ...}.
    """

    async def write(store: Store) -> MailboxState:
        state = await store.mailboxes.resume(mailbox)
        if state is None:
            raise NotFound("mailbox", mailbox)
        return state

    _write_state(change_store(write), f"{mailbox} is not paused", as_json=as_json)


def _write_state(state: MailboxState, text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(to_plain(state))
    else:
        write_line(text)
