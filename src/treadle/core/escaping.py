"""Text from a store made harmless: what terminals and browsers obey or hide becomes an escape."""

import re
from functools import cache

_DANGEROUS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters: a terminal executes the sequences they begin
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # they change the order of what is shown
    "\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # they are invisible
    "\u2028\u2029\ud800-\udfff"  # line breaks for some programs; half characters
    "\U000e0000-\U000e0fff"  # tags and selectors, in which a whole text can be hidden
    "]"
)
_SPACES = str.maketrans("\t\n\r", "   ")
_BUT_BREAKS_AND_TABS = re.compile(_DANGEROUS.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_BEYOND_ASCII = re.compile(_DANGEROUS.pattern.replace("\x00-\x1f", ""))


def one_line(text: str) -> str:
    """Return `text` on one line, with dangerous characters escaped."""
    return _DANGEROUS.sub(_escape, text.translate(_SPACES))


def printable(text: str) -> str:
    """Return `text` with its line breaks and tabs, and other dangerous characters escaped."""
    return _BUT_BREAKS_AND_TABS.sub(_escape, text)


def harmless_json(data: bytes) -> bytes:
    """Return a JSON text of the same value, in which dangerous characters are JSON's escapes."""
    if data.isascii() and b"\x7f" not in data:
        return data
    return _BEYOND_ASCII.sub(_escape_in_json, data.decode()).encode()


def _escape(match: re.Match[str]) -> str:
    return _escaped(match[0])


@cache  # there are some thousand of them, and a text may be made of one
def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _escape_in_json(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex()  # two of them for a character beyond 16 bits
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
