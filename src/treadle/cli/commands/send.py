"""`treadle send`: send work to a mailbox."""

import click

from treadle.cli.opening import write_store
from treadle.cli.options import duration, json_option, store_option
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_json, write_line
from treadle.cli.values import read_value
from treadle.core.codec import Json, to_plain
from treadle.core.limits import PRIORITY
from treadle.core.mailboxes import Sent
from treadle.store.store import Store


@click.command(
    "send",
    cls=ExampleCommand,
    examples=(
        'treadle send bike-squeaky-brakes --text "Is it ready?"',
        """treadle send agent-7 '{"task": "report", "day": 3}' --priority 5 --delay 10m""",
        "treadle send agent-7 - --dedupe-key order-4711 < payload.json",
        "treadle send agent-7 --text hi --header tenant=acme",
    ),
)
@store_option()
@click.argument("mailbox")
@click.argument("payload", required=False)
@click.option("--text", help='Send {"text": TEXT} instead of a PAYLOAD.')
@click.option(
    "--dedupe-key", metavar="KEY", help="Send nothing if the mailbox has an entry with KEY."
)
@click.option(
    "--priority",
    metavar="N",
    type=click.IntRange(0, PRIORITY),
    default=0,
    show_default=True,
    help="Entries with a higher priority are claimed first.",
)
@click.option(
    "--delay",
    type=duration,
    metavar="DURATION",
    default="0s",
    show_default=True,
    help="How long the entry waits before it is due: 90s, 12h, 7d.",
)
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    help="A text beside the payload, such as traceparent=00-...; may be repeated.",
)
@click.option("--sender", metavar="ID", help="The id of the sender, which the handler sees.")
@json_option
def send(
    mailbox: str,
    payload: str | None,
    text: str | None,
    dedupe_key: str | None,
    priority: int,
    delay: int,
    headers: tuple[str, ...],
    sender: str | None,
    as_json: bool,
) -> None:
    """Send work to a mailbox.

    PAYLOAD is JSON, or `-` to read JSON from standard input. The command prints the id of the
    entry; if MAILBOX already has an entry with the dedupe key, it prints the id of that one.

    --json: {"entry": {...}, "was_known": false}.
    """
    value, named = _read_payload(payload, text), _read_headers(headers)

    async def write(store: Store) -> Sent:
        return await store.mailboxes.send(
            mailbox,
            value,
            dedupe_key=dedupe_key,
            priority=priority,
            delay_ms=delay,
            headers=named,
            sender_id=sender,
        )

    sent = write_store(write)
    if as_json:
        write_json(to_plain(sent))
    else:
        write_line(sent.entry.entry_id)


def _read_headers(texts: tuple[str, ...]) -> dict[str, str]:
    named: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="'--header'")
        if name in named:
            raise click.BadParameter(f"{name!r} is given twice", param_hint="'--header'")
        named[name] = value
    return named


def _read_payload(payload: str | None, text: str | None) -> Json:
    if (payload is None) == (text is None):
        raise click.UsageError("give either a PAYLOAD or --text")
    if text is not None:
        return {"text": text}
    return read_value(payload or "", "PAYLOAD")
