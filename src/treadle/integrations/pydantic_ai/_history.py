"""Histories: read line by line, from their last entry back."""

from typing import NamedTuple

from pydantic_ai.conversation_store import ConversationEntry

from treadle import Documents
from treadle.integrations._document_pages import PAGE, undamaged
from treadle.integrations.pydantic_ai._layout import COLLECTION, Place, line_key, read_entry


class _Run(NamedTuple):
    """Entries that follow each other in a line, the last one first."""

    entries: list[ConversationEntry]
    origin: Place | None
    """The entry after which the line begins, if the run goes back to its start."""


async def read_back(
    documents: Documents, place: Place, head_id: str, limit: int | None
) -> list[ConversationEntry]:
    """Return the entries up to the one at `place`, whose id is `head_id`, in their order.

    Args:
        documents: the documents of the store.
        place: where the last entry is.
        head_id: its id.
        limit: how many at most, the last ones; None: all.

    Raises:
        LookupError: an entry is gone.
        CorruptRecord: an entry cannot be read.
    """
    entries: list[ConversationEntry] = []
    at: Place | None = place
    wanted: str | None = head_id
    while wanted is not None and (limit is None or len(entries) < limit):
        if at is None:
            raise LookupError(wanted)
        left = PAGE if limit is None else min(limit - len(entries), PAGE)
        run = await _read_run(documents, at, min(at.number + 1, left))
        for entry in run.entries:
            if entry.id != wanted:
                raise LookupError(wanted)
            entries.append(entry)
            wanted = entry.parent_id
        is_at_start = at.number < len(run.entries)
        at = run.origin if is_at_start else at.moved(-len(run.entries))
    entries.reverse()
    return entries


async def _read_run(documents: Documents, last: Place, count: int) -> _Run:
    page = await documents.list(
        COLLECTION,
        prefix=line_key(last.line),
        before=last.moved(1).key,
        limit=count,
        order="desc",
    )
    if [each.key for each in page.items] != [last.moved(-n).key for n in range(count)]:
        undamaged(COLLECTION, page)  # damage is said to be damage, not a missing entry
        raise LookupError(f"line {last.line!r} has not all entries up to {last.number}")
    found = [read_entry(each) for each in page.items]
    return _Run([entry for entry, _ in found], found[-1][1])
