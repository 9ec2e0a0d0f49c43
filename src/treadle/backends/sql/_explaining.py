"""Explaining an entry: one step reads it, its mailbox, and what comes first there."""

from treadle.backends._damage import DamageLog
from treadle.backends.sql.program import Program, Read
from treadle.backends.sql.rows import read_entry, read_mailbox, readable
from treadle.core.explaining import ExplainEntry, Explanation, explained


def explain_entry(
    query: ExplainEntry, damage: DamageLog, now: int | None
) -> Program[Explanation | None]:
    """Why an entry does not run, or None; without `now`, at the database's time."""
    asked = {"entry_id": query.entry_id}
    clock = (Read("clock", {}),) if now is None else ()
    rows, states, waiting, *times = yield (
        Read("load_entry", asked),
        Read("load_mailbox_of_entry", asked),
        _first_waiting(query.entry_id, 1),
        *clock,
    )
    if not rows:
        return None
    hidden = 0
    beside = readable(read_entry, waiting, damage)
    while len(waiting) - len(beside) > hidden:  # further, as claims pass over what is damaged
        hidden = len(waiting) - len(beside)
        (waiting,) = yield (_first_waiting(query.entry_id, 1 + hidden),)
        beside = readable(read_entry, waiting, damage)
    state = read_mailbox(states[0]) if states else None
    return explained(read_entry(rows[0]), state, beside, times[0][0][0] if now is None else now)


def _first_waiting(entry_id: str, number: int) -> Read:
    ids = {"ids": [entry_id], "mailboxes": []}
    return Read("load_waiting", {**ids, "number": number})
