"""Options that several commands have: the store, JSON, pages, durations."""

import re
from collections.abc import Callable
from typing import TypeVar, get_args

import click
from click.core import ParameterSource

from treadle.core.limits import PAGE
from treadle.core.pages import Order

DEFAULT_STORE = "./agents"
STORE_VARIABLE = "TREADLE_STORE"
_CHOSEN = "treadle.store"
_NAMED = "treadle.store.named"
_MEANING = f"The store: a folder, or a URL.  [env {STORE_VARIABLE}; default {DEFAULT_STORE}]"

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)")

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def store_option(
    *, meaning: str = _MEANING, variable: str | None = None
) -> Callable[[CommandT], CommandT]:
    """Add `--store URL`; after the command's name it counts more than before it."""
    return click.option(
        "--store",
        metavar="URL",
        envvar=variable,
        expose_value=False,
        callback=_remember,
        help=meaning,
    )


def _remember(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    ctx.meta[_CHOSEN] = value
    source = ctx.get_parameter_source(parameter.name or "")
    ctx.meta[_NAMED] = source is ParameterSource.COMMANDLINE


def chosen_store() -> str:
    """Return the URL of the store: from the command line, the environment or the default."""
    return str(click.get_current_context().meta.get(_CHOSEN, DEFAULT_STORE))


def named_store() -> str | None:
    """Return the URL of the store from the command line; None if it has none."""
    meta = click.get_current_context().meta
    return str(meta[_CHOSEN]) if meta.get(_NAMED) else None


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document; times are in unix ms."
)

after_option = click.option(
    "--after", metavar="CURSOR", help="Begin after the page that ended with this cursor."
)

order_option = click.option(
    "--order",
    type=click.Choice(get_args(Order)),
    help="The direction; by default times begin with the newest, and ids with the first.",
)

limit_option = click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1, max=PAGE, clamp=True),
    default=50,
    show_default=True,
    help=f"List at most N; a page has at most {PAGE}.",
)


def duration(text: str) -> int:
    """Return the milliseconds in a duration: a number and a unit (ms, s, m, h or d).

    Raises:
        BadParameter: the text is not a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 12h or 7d")
    return int(float(match[1]) * _MILLISECONDS[match[2]])


def direction(order: Order | None, by: str) -> Order:
    """Return the direction of a listing: the one that was chosen, or the usual one."""
    return order or ("asc" if by == "id" else "desc")
