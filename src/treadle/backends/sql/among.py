"""Queue heads of some mailboxes, which are ranges of ids.

No index has both the mailbox and the order of claims. The heads of a range are together in the
primary key, in no order; the index that claims read has all heads in order, whosever they are. If
few heads are in the ranges, the first way finds them all. If many are, some are usually near the
front, where the second way begins. So each looks so far, in turn, and then further, until one of
them has all that the claim needs: it reads a few times what the better way does.
"""

from collections.abc import Sequence

from treadle.backends.sql.program import Program, Read, Values
from treadle.core.id_ranges import IdRanges
from treadle.core.limits import LARGEST_TIME

LOOKS = (50, 1_000, 20_000)
"""How many heads each way looks at, in turn, before one looks at all that are in the ranges."""
FRONT = 50
"""How many heads a claim examines beyond those it takes, before it examines all that are due."""
HEADS_AMONG = ("heads_among",)
"""The condition that a queue head is of a mailbox in one of the ranges."""
MAILBOXES_AMONG = ("mailboxes_among",)
"""The same for a mailbox."""


def ranges_in(ranges: IdRanges) -> Values:
    """The value of a statement that names ranges."""
    return {"ranges": list(ranges)}


def next_due_among(ranges: IdRanges) -> Program[Sequence[int | None]]:
    """Times at which an entry of some mailboxes may become claimable."""
    values = ranges_in(ranges)
    time: int | None = None
    (((expiry,),),) = yield (Read("next_expiry", values, MAILBOXES_AMONG),)
    for look in (*LOOKS, LARGEST_TIME):
        looking = {**values, "look": look}
        (((time, looked),),) = yield (Read("time_among", looking),)
        if looked < look:
            break
        (((time, is_cut_off),),) = yield (Read("ready_time_among", looking, HEADS_AMONG),)
        if not is_cut_off:
            break
    return time, expiry
