"""Durations on the command line: `90s`, `12h`, `7d`, in milliseconds inside."""

import re

import click

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)")


def duration(text: str) -> int:
    """The milliseconds in a number with its unit: ms, s, m, h or d.

    Raises:
        BadParameter: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 12h or 7d")
    return int(float(match[1]) * _MILLISECONDS[match[2]])
