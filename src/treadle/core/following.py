"""Following a thread: the items that come beside its deltas."""

from typing import TypeAlias

from treadle.core.codec import Json, Model
from treadle.core.runs import RunStatus
from treadle.core.threads import ThreadDelta, ThreadHead


class ThreadReset(Model, frozen=True, kw_only=True):
    """The deltas up to `head` are not known: forget what you have, and show `head`.

    The thread was saved as a whole, another program wrote it, or it was deleted and created again
    and has fewer versions than before.
    """

    head: ThreadHead


class ThreadDeleted(Model, frozen=True, kw_only=True):
    """The thread was deleted; nothing follows."""

    thread_id: str


class LiveValue(Model, frozen=True, kw_only=True):
    """A live value of the thread: see `Live`."""

    value: Json


class RunEnded(Model, frozen=True, kw_only=True):
    """The turn of a run is over: nothing more of it comes, unless it is tried or asked again.

    Whether it has an answer, was stopped, cancelled, or given up. It comes for the runs of which
    the follower has got a piece (`LivePiece`) or a delta, after those, with the next news of the
    thread or within 10 seconds. One that begins to follow later finds them in `Runs.list`.
    """

    run_id: str
    status: RunStatus
    """"done", or "waiting" for an answer."""
    termination_code: str | None = None
    """Why: None after an answer; "superseded" after a Stop, "cancelled", "dead_letter" …"""


FollowedItem: TypeAlias = ThreadDelta | ThreadReset | ThreadDeleted
"""What comes when a thread is followed."""

LiveItem: TypeAlias = FollowedItem | LiveValue | RunEnded
"""What comes when a thread is followed with its live values."""
