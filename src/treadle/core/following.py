"""Following a thread: the items that come beside its deltas."""

from typing import TypeAlias

from treadle.core.codec import Json, Model
from treadle.core.threads import ThreadDelta, ThreadHead


class ThreadReset(Model, frozen=True, kw_only=True):
    """The deltas up to `head` are not known: forget what you have, and show `head`.

    The thread was saved as a whole, another program wrote it, or it was deleted and created again.
    """

    head: ThreadHead


class ThreadDeleted(Model, frozen=True, kw_only=True):
    """The thread was deleted; nothing follows."""

    thread_id: str


class LiveValue(Model, frozen=True, kw_only=True):
    """A live value of the thread: see `Live`."""

    value: Json


FollowedItem: TypeAlias = ThreadDelta | ThreadReset | ThreadDeleted
"""What comes when a thread is followed."""
