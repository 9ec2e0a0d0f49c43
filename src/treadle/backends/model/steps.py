"""Where the messages of a thread are that steps have added or removed."""

from collections.abc import Iterator, Sequence

from treadle.core.threads import History


def positions_of(count: int, steps: Sequence[History]) -> list[dict[int, int]]:
    """Return the positions of the messages that each step has added, by their indexes in its delta.

    Those that were skipped, or removed by a later step, have none.

    Args:
        count: how many messages the thread had before.
        steps: what came then.
    """
    added: list[tuple[int, int]] = []
    for number, step in enumerate(steps):
        kept = step.delta.changes.truncated_to
        if kept is not None:
            del added[max(kept - count, 0) :]
            count = min(count, kept)
        added += ((number, index) for index in _indexes_of_added(step))
    positions: list[dict[int, int]] = [{} for _ in steps]
    for position, (number, index) in enumerate(added, start=count):
        positions[number][index] = position
    return positions


def removals_of(count: int, steps: Sequence[History]) -> Iterator[range]:
    """Yield the positions that each step removes, of the `count` messages that the thread had."""
    for step in steps:
        kept = step.delta.changes.truncated_to
        left = count if kept is None else min(kept, count)
        yield range(left, count)
        count = left


def _indexes_of_added(step: History) -> Iterator[int]:
    added = iter(step.added)
    awaited = next(added, None)
    for index, message in enumerate(step.delta.changes.messages):
        if message is awaited:
            yield index
            awaited = next(added, None)
