"""The positions of the messages that a step has added to a thread or removed from it."""

from collections.abc import Iterable, Sequence

from treadle.core.messages import Message, StoredMessage
from treadle.core.threads import History, Step, ThreadChangeSet


def positions_of(link: History) -> dict[int, int]:
    """Return the positions of the messages that a step has added, by their indexes in its delta.

    Those that the thread had already have none.
    """
    messages, count = link.delta.changes.messages, len(link.added)
    if count == len(messages):
        return dict(enumerate(range(link.kept, link.kept + count)))
    positions: dict[int, int] = {}
    for index, message in enumerate(messages):
        if len(positions) < count and message is link.added[len(positions)]:
            positions[index] = link.kept + len(positions)
    return positions


def stored_step(
    changes: ThreadChangeSet,
    stored: Sequence[int | Message],
    removed: Iterable[StoredMessage],
    count: int,
) -> Step:
    """Return the step of a delta that names the messages it has added by their positions.

    Args:
        changes: its changes, without messages.
        stored: its messages or their positions.
        removed: the messages that a truncation removed.
        count: how many messages the thread had after it.

    Raises:
        ValueError: they do not fit.
    """
    added = [each for each in stored if isinstance(each, int)]
    kept = count - len(added)
    if added != list(range(kept, count)) or changes.truncated_to not in (None, kept):
        raise ValueError(f"it does not lead to a thread with {count} messages")
    return Step(changes, kept, tuple(removed))
