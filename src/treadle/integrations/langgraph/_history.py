"""The history of delta channels: what was written to them since their last stored value."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NamedTuple

import treadle
from treadle.integrations.langgraph._layout import PendingWrite
from treadle.integrations.langgraph._reading import (
    FEW,
    ChannelValue,
    Found,
    MissingValueError,
    Reader,
)


class History(NamedTuple):
    """The writes to a channel, oldest first, after the value that it had."""

    writes: list[PendingWrite]
    seed: ChannelValue | None


async def load_history(
    reader: Reader, collection: str, space: str, checkpoint_id: str | None, channels: Iterable[str]
) -> Mapping[str, History]:
    """Return the history of some channels at a checkpoint, or at the newest one.

    Raises:
        CorruptRecord: the checkpoint, one of its ancestors or a value is missing.
    """
    _, target = await reader.find(collection, space, checkpoint_id)
    if target is None and checkpoint_id is not None:
        raise _broken(checkpoint_id, "it does not exist, or was deleted meanwhile")
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    seeds: dict[str, ChannelValue] = {}
    remaining = set(writes)
    if target is not None:
        async for block in _ancestors(reader, collection, target):
            values = await _load_seeds(reader, collection, block, remaining)
            for found in block:
                for write in reversed(found.ordered_writes()):
                    if write.channel in remaining:
                        writes[write.channel].append(write)
                seeds |= {ch: value for ch, value in values[found.key].items() if ch in remaining}
                remaining -= seeds.keys()
            if not remaining:
                break
    return {
        channel: History(newest_first[::-1], seeds.get(channel))
        for channel, newest_first in writes.items()
    }


async def _load_seeds(
    reader: Reader, collection: str, block: list[Found], channels: set[str]
) -> Mapping[tuple[str, ...], Mapping[str, ChannelValue]]:
    try:
        loaded = await reader.load_values(collection, block, only=channels)
    except MissingValueError as error:
        raise treadle.CorruptRecord(error.where, str(error)) from error
    return {each.found.key: each.values for each in loaded}


async def _ancestors(reader: Reader, collection: str, target: Found) -> AsyncIterator[list[Found]]:
    """Yield the parent of a checkpoint, its parent and so on, in blocks that were read together.

    They mostly lie behind each other, so pages are read; but a parent that another machine wrote
    may have the larger id.
    """
    space = target.space
    pages = reader.pages(collection, space, before=target.key, first=FEW)
    read: dict[str, Found] = {}
    lowest = target.id
    block: list[Found] = []
    done: set[str] = set()
    child, parent = target, target.head.parent
    while parent is not None and parent not in done:
        found = read.pop(parent, None)
        if found is None and parent < lowest:
            if block:
                yield block
                block = []
            page = await anext(pages, None)
            lowest = "" if page is None else min([lowest, *(each.id for each in page)])
            read |= {each.id: each for each in page or ()}
            continue
        if found is None:
            _, found = await reader.find(collection, space, parent)
        if found is None:
            raise _broken(child.id, f"its parent {parent!r} was deleted")
        block.append(found)
        done.add(parent)
        child, parent = found, found.head.parent
    if block:
        yield block


def _broken(checkpoint_id: str, reason: str) -> treadle.CorruptRecord:
    advice = "its delta channels cannot be rebuilt; go on from another checkpoint"
    return treadle.CorruptRecord(f"checkpoint {checkpoint_id!r}", reason, advice)
