"""What a call touches, as far as another call may not touch it at the same time.

Calls are carried out in the order in which they come wherever that makes a difference. Two that
touch nothing in common may overlap: then the server works on one while we work on the other.
"""

import msgspec

from treadle.backends.model.apply import read_set_of
from treadle.core.commands import Commands
from treadle.core.document_keys import split_row_key

_MAILBOXES = "mailboxes"
_RUNS = "runs"
_DOCUMENTS = "documents"


class Touched(msgspec.Struct, gc=False):
    """Names of rows, and of parts of the store; each kind has a prefix of its own."""

    alone: set[str] = msgspec.field(default_factory=set)
    """What nobody else may touch."""
    shared: set[str] = msgspec.field(default_factory=set)
    """What others may touch that share it, too: the part of the store that a row belongs to."""

    def meets(self, other: "Touched") -> bool:
        """Return True if the two may not overlap."""
        return not (
            self.alone.isdisjoint(other.alone)
            and self.alone.isdisjoint(other.shared)
            and self.shared.isdisjoint(other.alone)
        )

    def add(self, other: "Touched") -> None:
        """Touch what the other one touches as well."""
        self.alone |= other.alone
        self.shared |= other.shared


def touched_by(batch: Commands) -> Touched:
    """What a batch touches."""
    read_set = read_set_of((batch,))
    touched = Touched({"t" + each for each in read_set.threads})
    if read_set.runs:
        touched.alone.update(["r" + each for each in read_set.runs])
        touched.shared.add(_RUNS)
    if read_set.documents:
        touched.alone.update(["d" + each for each in read_set.documents])
        touched.shared.update(map(_collection, read_set.documents))
        touched.shared.add(_DOCUMENTS)
    if read_set.mailboxes or read_set.entries or read_set.ended_before:
        # The mailbox and the runs of an entry are not known before they are loaded.
        touched.alone.update((_MAILBOXES, _RUNS))
    if read_set.document_ranges:
        touched.alone.update(["c" + collection for collection, *_ in read_set.document_ranges])
        touched.shared.add(_DOCUMENTS)
    if read_set.expired_before:
        touched.alone.add(_DOCUMENTS)
    return touched


def _collection(key: str) -> str:
    return "c" + split_row_key(key)[0]
