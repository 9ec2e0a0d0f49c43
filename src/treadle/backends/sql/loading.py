"""Loading a read set: the queries that bring its rows, and lock them where others may write."""

from collections.abc import Set

from treadle.backends.sql.program import Read
from treadle.backends.sql.rows import id_list, pair_list
from treadle.core.read_set import ReadSet


def reads_of(read_set: ReadSet) -> list[Read]:
    """The queries that load a read set; those with nothing to load are left out.

    Mailboxes come first, then threads, then runs. Every transaction locks in this order, so no two
    wait for each other. The other rows are covered by the lock of their mailbox or thread.
    """
    reads: list[Read] = []

    def load(name: str, **ids: Set[str]) -> None:
        if any(ids.values()):
            reads.append(Read(name, {key: id_list(values) for key, values in ids.items()}))

    load("load_mailboxes_for_update", ids=read_set.mailboxes, entries=read_set.entries)
    load("load_threads_for_update", ids=read_set.threads)
    load("load_runs_for_update", ids=read_set.runs)
    load("load_entries", ids=read_set.entries)
    load("load_claimed_beside", ids=read_set.claimed_beside, mailboxes=read_set.claimed_in)
    load("load_unfinished", ids=read_set.unfinished)
    if read_set.messages:
        reads.append(Read("load_message_ids", {"pairs": pair_list(read_set.messages)}))
    if read_set.duplicates:
        reads.append(Read("load_duplicates", {"pairs": pair_list(read_set.duplicates)}))
    return reads
