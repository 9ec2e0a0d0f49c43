"""The limits of what a store accepts, and the reason for each."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from treadle.errors import InvalidValue

ID_BYTES = 200
"""Longest id, in bytes of UTF-8: with `.json` and a temporary suffix it stays a file name (255)."""

DEPTH = 100
"""Deepest nesting of a JSON value: tirea's parser stops at 128, a document adds a few."""

PATH = DEPTH
"""Most segments of the path of a patch: a state is not nested deeper."""

PATCH_WORK = 100_000_000
"""What rebuilding a state may take beyond its size, in comparisons of two numbers: about 2 s."""

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1
"""Integers fit 64 bits, signed or unsigned, as in tirea's `serde_json::Number`."""

LARGEST_TIME = 2**63 - 1
"""Times and durations are milliseconds that fit a database's signed 64-bit column."""

LARGEST_COUNT = 2**62
"""Largest generation and attempt count of a new entry; both can still rise within 63 bits."""

PAGE = 200
"""Largest page of a listing: `limit` is clamped to 1..200."""

COUNTED = 10_000
"""Most rows that a count for a page of a dashboard looks at: `limit` is clamped to 1..10,000."""

PRIORITY = 255
"""Highest priority of a mailbox entry."""

HEADERS = 32
"""Most headers of an entry."""

HEADER_NAME = 100
"""Longest name of a header, in characters."""

HEADER_VALUE = 8_192
"""Longest value of a header, in characters: as much as the baggage of a W3C trace may have."""

LIVE_BYTES = 6_000
"""Largest live value, in bytes of JSON: a notice of PostgreSQL has less than 8,000."""

LIVE_VALUES = 1_000
"""Most live values that are kept for a follower that does not ask for them."""

Time: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_TIME)]
"""A time in unix milliseconds, or a duration in milliseconds."""

Bound: TypeAlias = Annotated[int, Meta(ge=SMALLEST_INTEGER, le=LARGEST_TIME)]
"""An end of what a query asks for: a position, a version or a time. Negative: before the first."""

Version: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_TIME)]
"""How often a thread was changed since it was created."""

Length: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_TIME)]
"""How many messages stay in a thread, or are removed from its end."""

Generation: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_TIME)]
"""How often a mailbox was interrupted."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]
"""A number of things."""

Attempts: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST_TIME)]
"""How often an entry was claimed; at the largest number it stays."""

Priority: TypeAlias = Annotated[int, Meta(ge=0, le=PRIORITY)]
"""Priority of an entry: entries of a higher one are claimed first."""

Headers: TypeAlias = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=HEADER_NAME)],
        Annotated[str, Meta(max_length=HEADER_VALUE)],
    ],
    Meta(max_length=HEADERS),
]
"""Texts by name beside the payload of an entry, for what carries it, such as tracing."""


def later(now: int, duration_ms: int) -> int:
    """Return the time `duration_ms` after `now`, at most `LARGEST_TIME`."""
    return min(now + duration_ms, LARGEST_TIME)


def next_number(number: int, where: str) -> int:
    """Return the version or generation after `number`.

    Raises:
        InvalidValue: it is the largest one already; `where` says whose it is.
    """
    if number >= LARGEST_TIME:
        raise InvalidValue(where, f"it is {number}, the largest number, and cannot rise")
    return number + 1


def clamp_page(limit: int) -> int:
    """Clamp a page's `limit` to 1..200."""
    return max(1, min(limit, PAGE))


def clamp_counted(limit: int) -> int:
    """Return how many rows a count looks at if a caller asks for `limit`."""
    return max(1, min(limit, COUNTED))
