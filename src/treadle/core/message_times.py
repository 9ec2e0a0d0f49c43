"""The times at which messages were committed, beside the messages themselves.

They are a tuple in the order of the messages. None stands for a time that nobody knows; the unknown
times at the end are left out.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from treadle.core.codec import encode
from treadle.core.limits import Time
from treadle.core.messages import Message, StoredMessage

MessageTimes: TypeAlias = tuple[Time | None, ...]
"""Times in unix milliseconds, in the order of the messages."""


def trimmed(times: Sequence[int | None]) -> MessageTimes:
    """Return times without the unknown ones at the end."""
    end = len(times)
    while end and times[end - 1] is None:
        end -= 1
    return tuple(times[:end])


def padded(times: MessageTimes, count: int) -> MessageTimes:
    """Return the times of the first `count` messages, the unknown ones included."""
    return times[:count] + (None,) * (count - len(times))


def grown(times: MessageTimes, kept: int, added: int, now: int) -> MessageTimes:
    """Return the times after all but the first `kept` messages were removed, and others added."""
    if added:
        return padded(times, kept) + (now,) * added
    return trimmed(times[:kept])


def renewed(messages: Iterable[Message], before: Iterable[StoredMessage], now: int) -> MessageTimes:
    """Return the times of messages that replace others: an unchanged one keeps its time."""
    known: defaultdict[bytes, deque[int | None]] = defaultdict(deque)
    for each in before:
        known[encode(each.message)].append(each.committed_at)
    times = [
        known[data].popleft() if known.get(data := encode(message)) else now for message in messages
    ]
    return trimmed(times)


def timed(
    messages: Sequence[Message], times: MessageTimes, start: int = 0
) -> tuple[StoredMessage, ...]:
    """Return the message at a position and all later ones, with their positions and times."""
    later = messages[start:]
    return tuple(
        StoredMessage(cursor=position, message=message, committed_at=time)
        for position, message, time in zip(
            range(start, len(messages)), later, padded(times[start:], len(later)), strict=True
        )
    )
