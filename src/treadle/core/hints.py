"""Hints: something has changed. A hint says what to read again, and never what it is now."""

from typing import Literal, TypeAlias

from treadle.core.codec import Model

HintKind: TypeAlias = Literal["thread", "run", "mailbox", "collection", "anything"]
"""What has changed; "anything" if that is not known."""


class Hint(Model, frozen=True, kw_only=True):
    """Something may have changed: read it again.

    A thread has changed if its messages, its state, its labels or one of its runs have, or if it
    was deleted. A mailbox has changed if one of its entries has. A collection has changed if one of
    its documents has.
    """

    kind: HintKind
    id: str | None = None
    """The id of the thread, run, mailbox or collection; None for "anything"."""

    def __hash__(self) -> int:
        return hash((self.kind, self.id))


ANYTHING = Hint(kind="anything")
"""Much has changed at once, or hints were lost: everything may have changed."""
