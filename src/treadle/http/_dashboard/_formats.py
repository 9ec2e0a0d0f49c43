"""How values are written for people: times, sizes, numbers, JSON, and text that is harmless."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from markupsafe import Markup

from treadle.core.codec import Json
from treadle.core.escaping import printable

LONGEST = 2_000
"""Most characters of a value on a page that has more of them."""
_LAST_YEAR = 253_402_300_799_999
"""The last millisecond that a date can have."""
_SPANS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_DAYS = 30
"""From this age on a date says more than a number of days."""


def visible(value: object) -> object:
    """Return a text in which nothing is hidden; anything else as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value.replace("\r\n", "\n"))
    return value


def relative(time: int, now: int) -> str:
    """Return a time as people say it: "3 min ago", "in 2 h"; a date if it is far away."""
    distance = abs(now - time)
    if distance >= _DAYS * 86_400_000:
        return absolute(time)[:10] if time <= _LAST_YEAR else "never"
    text = span(distance)
    if text == "0 s":
        return "now"
    return f"in {text}" if time > now else f"{text} ago"


def span(milliseconds: int) -> str:
    """Return a length of time, in its largest unit."""
    for size, unit in _SPANS:
        if milliseconds >= size:
            return f"{milliseconds // size:,} {unit}"
    return "0 s"


def absolute(time: int) -> str:
    """Return a time to the millisecond, in UTC; the number itself if no calendar has it."""
    if not 0 <= time <= _LAST_YEAR:
        return str(time)
    date = datetime.fromtimestamp(time // 1_000, UTC)
    return f"{date:%Y-%m-%d %H:%M:%S}.{time % 1_000:03} UTC"


def machine(time: int) -> str:
    """Return a time for the attribute `datetime`."""
    return absolute(time).replace(" UTC", "Z").replace(" ", "T")


def number(value: int) -> str:
    """Return a whole number with all its digits, in groups."""
    return f"{value:,}"


def size(count: int) -> str:
    """Return a number of bytes or characters, in its largest unit."""
    for unit in ("B", "kB", "MB"):
        if count < 1_000:
            return f"{count} {unit}"
        count //= 1_000
    return f"{count:,} GB"


class Shown(NamedTuple):
    """A value as a page shows it."""

    text: str
    is_cut: bool
    length: int
    """How many characters the whole text has."""


def shown(value: Json, longest: int = LONGEST) -> Shown:
    """Return the text of a value, cut: texts as they are, and anything else as JSON."""
    text = value if isinstance(value, str) else _joined(value) or json_text(value)
    return Shown(text[:longest], len(text) > longest, len(text))


def _joined(value: Json) -> str | None:
    """The text of a message whose parts are nothing but texts; None if they are more."""
    if not isinstance(value, list) or not all(map(_is_text, value)):
        return None
    return "\n".join(part["text"] for part in value)


def _is_text(part: Json) -> bool:
    return (
        isinstance(part, dict) and set(part) == {"type", "text"} and isinstance(part["text"], str)
    )


def literal(text: str) -> str:
    """Return a text as Python has it in source code, between double quotes."""
    return msgspec.json.encode(text).decode()


def json_text(value: Json) -> str:
    """Return the JSON of a value over several lines; integers keep their digits."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
