"""Options that mean the same in every command: which store, JSON, pages, durations."""

import re
from collections.abc import Callable
from typing import TypeVar

import click
from click.core import ParameterSource

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
    """`--store URL`; a command's own counts more than what stands before the command."""
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
    """The URL of the store that the command line, the environment or the default names."""
    return str(click.get_current_context().meta.get(_CHOSEN, DEFAULT_STORE))


def named_store() -> str | None:
    """The URL that the command line names; None if it names none."""
    meta = click.get_current_context().meta
    return str(meta[_CHOSEN]) if meta.get(_NAMED) else None


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write one JSON document; times are unix milliseconds."
)

offset_option = click.option(
    "--offset",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pass over the first N.",
)

limit_option = click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most N of them.",
)


def duration(text: str) -> int:
    """The milliseconds in a number with its unit: ms, s, m, h or d.

    Raises:
        BadParameter: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 12h or 7d")
    return int(float(match[1]) * _MILLISECONDS[match[2]])
