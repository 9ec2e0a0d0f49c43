"""Prefixes of ids, as ranges: in the order of its ids, a store has all with a prefix together."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from treadle.core.codec import check_json
from treadle.core.limits import ID_BYTES
from treadle.errors import InvalidValue, shorten

IdRange: TypeAlias = tuple[str, str]
"""Ids from the first text, included, up to the second, excluded, in the order of code points."""
IdRanges: TypeAlias = tuple[IdRange, ...]
"""Ranges that have no id in common, in their order."""
Ids: TypeAlias = str | IdRanges | None
"""One id, those in ranges, or None: all."""
Prefix: TypeAlias = str | tuple[str, ...]
"""A prefix, or several: an id with one of them has it, as in `str.startswith`."""

PREFIXES = 100
"""How many prefixes a claim may name."""

_LAST = "\U0010ffff"
_END = _LAST * (ID_BYTES // 4 + 1)
"""Comes after every id."""


def is_in(ranges: IdRanges | None, value: str) -> bool:
    """Return whether an id is in one of the ranges; None: every id is."""
    return ranges is None or any(first <= value < end for first, end in ranges)


def ranges_of(
    mailbox_id: str | None, mailbox_prefix: Prefix | None, except_prefix: Prefix, where: str = ""
) -> IdRanges | None:
    """Return the ranges of the ids with a prefix and without another one; None: no prefix is named.

    Args:
        mailbox_id: the only mailbox; then there may be no prefix.
        mailbox_prefix: those that an id begins with; None: any.
        except_prefix: those that it does not begin with.
        where: the beginning of the names of these arguments in errors.

    Raises:
        InvalidValue: a prefix is empty or is no text, there are too many, or no id is left; or a
            mailbox is named, too.
    """
    excluded = _checked(except_prefix, f"{where}except_prefix")
    if mailbox_prefix is None and not excluded:
        return None
    if mailbox_id is not None:
        raise InvalidValue(f"{where}mailbox_id", "pass it, or prefixes, and not both")
    ranges = [("", _END)]
    if mailbox_prefix is not None:
        wanted = _checked(mailbox_prefix, f"{where}mailbox_prefix")
        if not wanted:
            raise InvalidValue(f"{where}mailbox_prefix", "it names no prefix; None is for all")
        ranges = _united(map(_range_of, wanted))
    for each in excluded:
        ranges = list(_without(ranges, _range_of(each)))
    if not ranges:
        raise InvalidValue(f"{where}except_prefix", "it leaves nothing of mailbox_prefix")
    return tuple(ranges)


def _checked(prefix: Prefix, where: str) -> Sequence[str]:
    given = (prefix,) if isinstance(prefix, str) else prefix
    if not isinstance(given, tuple):
        raise InvalidValue(where, f"pass a text, or a tuple of texts, not {shorten(given)}")
    if len(given) > PREFIXES:
        raise InvalidValue(where, f"there must be at most {PREFIXES} prefixes, not {len(given)}")
    for each in given:
        if type(each) is not str:
            raise InvalidValue(where, f"it must be a text, not {shorten(each)}")
        check_json(each, where)
        if not each:
            raise InvalidValue(where, "it must not be empty: every id begins so")
    return given


def _range_of(prefix: str) -> IdRange:
    kept = prefix.rstrip(_LAST)
    if not kept:
        return prefix, _END
    after = ord(kept[-1]) + 1
    # no text has a surrogate
    return prefix, kept[:-1] + chr(0xE000 if after == 0xD800 else after)


def _united(ranges: Iterable[IdRange]) -> list[IdRange]:
    """Return ranges of which each prefix's is within another, or apart from it."""
    found: list[IdRange] = []
    for first, end in sorted(ranges, key=lambda each: (each[0], -len(each[0]))):
        if not found or first >= found[-1][1]:
            found.append((first, end))
    return found


def _without(ranges: Iterable[IdRange], hole: IdRange) -> Iterable[IdRange]:
    start, stop = hole
    for first, end in ranges:
        if first < min(start, end):
            yield first, min(start, end)
        if max(stop, first) < end:
            yield max(stop, first), end
