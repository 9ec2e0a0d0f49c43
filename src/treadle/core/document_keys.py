"""Keys of documents: tuples of texts, stored as one text each, which keeps their order.

The parts are joined by U+001F, which is below every character that a part may have. So the order
of tuples is the order of the joined texts, and the documents below a prefix are a range of them.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from treadle.errors import InvalidValue, shorten

KEY_PARTS = 16
"""Most parts of a key."""
KEY_BYTES = 1024
"""Longest key, in bytes of UTF-8 with a separator between parts: databases index it."""
SEPARATOR = "\x1f"
END = "\x20"
"""The character after the separator: the end of the range of keys below a prefix."""
_CONTROL = frozenset(map(chr, range(0x20)))
KeyPart: TypeAlias = Annotated[str, Meta(extra={"key part": True})]
"""A text without control characters."""
Key: TypeAlias = tuple[KeyPart, ...]


class KeyRange(msgspec.Struct, frozen=True):
    """The keys of a collection between two joined keys, which are excluded."""

    collection: str
    after: str = ""
    before: str | None = None
    """None: there is no end."""

    def has(self, key: str) -> bool:
        """Return whether a joined key is in the range."""
        return self.after < key and (self.before is None or key < self.before)


def row_key(collection: str, key: Key) -> str:
    """Return the id of a document's row; no name of a collection contains a separator."""
    return f"{collection}{SEPARATOR}{join(key)}"


def join(key: Key) -> str:
    """Return the parts of a key as one text."""
    return SEPARATOR.join(key)


def split(text: str) -> Key:
    """Return the key that `join` made a text of."""
    return tuple(text.split(SEPARATOR))


def split_row_key(text: str) -> tuple[str, str]:
    """Return the collection and the joined key that `row_key` made a text of."""
    collection, _, key = text.partition(SEPARATOR)
    return collection, key


def key_range(collection: str, prefix: Key, after: Key | None, before: Key | None) -> KeyRange:
    """Return the range of the keys below a prefix, between two keys that are excluded."""
    # No key is between a prefix and its first child: that would need a character below U+001F.
    first = max(join(prefix), "" if after is None else join(after))
    ends = [] if before is None else [join(before)]
    if prefix:
        ends.append(join(prefix) + END)
    return KeyRange(collection, first, min(ends, default=None))


def check_key(key: Key, where: str) -> None:
    """Refuse a key that cannot be stored.

    Raises:
        InvalidValue: `where` names its place.
    """
    if not 1 <= len(key) <= KEY_PARTS:
        raise InvalidValue(where, f"it must have 1 to {KEY_PARTS} parts, not {len(key)}")
    if key == ("",):
        raise InvalidValue(where, "it must not be empty")
    text = "".join(key)
    if text.isascii() and text.isprintable() and len(text) + len(key) <= KEY_BYTES:
        return  # as nearly all are
    for position, part in enumerate(key):
        check_text(f"{where}[{position}]", part)
    size = len(join(key).encode())
    if size > KEY_BYTES:
        raise InvalidValue(where, f"it must be at most {KEY_BYTES} bytes of UTF-8, not {size}")


def check_text(where: str, text: str) -> None:
    """Refuse a text with control characters; `where` names its place.

    Raises:
        InvalidValue: it has one.
    """
    if not _CONTROL.isdisjoint(text):
        raise InvalidValue(where, f"{shorten(text)} has a control character")


def check_range(where: str, prefix: Key, after: Key | None, before: Key | None) -> None:
    """Refuse a prefix or an end of a range that is not a key.

    Raises:
        InvalidValue: the message says which; `where` names the command or query.
    """
    if prefix:  # an empty one is all keys
        check_key(prefix, f"{where}.prefix")
    if after is not None:
        check_key(after, f"{where}.after")
    if before is not None:
        check_key(before, f"{where}.before")
