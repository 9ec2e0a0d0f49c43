"""Loading a read set: the queries that bring its rows, and lock them where others may write."""

from collections.abc import Callable
from itertools import starmap

from treadle.backends.sql._documents import read_range
from treadle.backends.sql._past_messages import reads_of_steps
from treadle.backends.sql._whole_threads import reads_of_whole
from treadle.backends.sql.program import Read
from treadle.backends.sql.rows import document_list, pair_list
from treadle.core.document_keys import KeyRange
from treadle.core.limits import LARGEST_TIME
from treadle.core.read_set import ReadSet


def reads_of(read_set: ReadSet) -> list[Read]:
    """The queries that load a read set; those with nothing to load are left out.

    Mailboxes come first, then threads, runs and documents. Every transaction locks in this order,
    and rows of one kind in the order of their ids, so no two wait for each other. The locks of
    mailboxes and threads cover the other rows.
    """
    reads: list[Read] = []
    if read_set.mailboxes or read_set.entries:
        ids = {"ids": sorted(read_set.mailboxes), "entries": sorted(read_set.entries)}
        reads.append(Read("load_mailboxes_for_update", ids))
    if read_set.threads:
        reads.append(Read("load_threads_for_update", {"ids": sorted(read_set.threads)}))
    reads += _reads_of_runs(read_set)
    if read_set.entries or read_set.unfinished or read_set.entries_of or read_set.duplicates:
        reads += _reads_of_entries(read_set)
    if read_set.labels:
        reads.append(Read("load_labels", {"ids": sorted(read_set.labels)}))
    for thread_id in sorted(read_set.children_of):
        values = {"parent_thread_id": thread_id, "number": read_set.first_children(thread_id)}
        reads.append(Read("load_children", values))
    if read_set.messages:
        reads.append(Read("load_message_ids", {"pairs": pair_list(read_set.messages)}))
    if read_set.wholes or read_set.messages_from or read_set.last_messages:
        reads += _reads_in_threads(read_set)
    if read_set.documents or read_set.document_ranges or read_set.expired_before:
        reads += _reads_of_documents(read_set)
    for time in sorted(read_set.ended_before):
        loaded = sorted(read_set.entries)
        reads.append(Read("count_ended", {"ended_before": time, "loaded": loaded}))
    return reads


def _reads_of_entries(read_set: ReadSet) -> list[Read]:
    reads = [
        Read(name, {"ids": sorted(keys)})
        for name, keys in (
            ("load_entries", read_set.payloads),
            ("load_claims", read_set.entries - read_set.payloads - read_set.claimed_beside),
            ("load_unfinished", read_set.unfinished),
            ("load_entries_of_mailboxes", read_set.entries_of),
        )
        if keys
    ]
    if read_set.claimed_beside or read_set.claimed_in:
        ids = {"ids": sorted(read_set.claimed_beside), "mailboxes": sorted(read_set.claimed_in)}
        reads.append(Read("load_claimed_beside", ids))
    if read_set.waiting:
        ids = {"ids": sorted(read_set.waiting), "mailboxes": sorted(read_set.claimed_in)}
        reads.append(Read("load_waiting", {**ids, "number": read_set.first_waiting()}))
    if read_set.duplicates:
        reads.append(Read("load_duplicates", {"pairs": pair_list(read_set.duplicates)}))
    return reads


def read_unclaimed(read_set: ReadSet, loaded: Callable[[str], bool]) -> list[Read]:
    """The query for entries that should be among the claimed ones of their mailboxes, and are not.

    Nobody holds them, so their claims are lost; this is rare.
    """
    missing = [each for each in read_set.claimed_beside - read_set.payloads if not loaded(each)]
    return [Read("load_claims", {"ids": sorted(missing)})] if missing else []


def _reads_in_threads(read_set: ReadSet) -> list[Read]:
    reads: list[Read] = []
    for thread_id in sorted(read_set.wholes):
        reads += reads_of_whole(thread_id)
    for thread_id in sorted(read_set.steps):
        reads += reads_of_steps(thread_id)
    for thread_id in sorted(read_set.messages_from.keys() | read_set.last_messages.keys()):
        first = read_set.messages_from.get(thread_id, LARGEST_TIME)
        number = read_set.last_messages.get(thread_id, 0)
        values = {"thread_id": thread_id, "first": first, "number": number}
        reads.append(Read("load_last_messages", values))
    return reads


def _reads_of_documents(read_set: ReadSet) -> list[Read]:
    reads: list[Read] = []
    if read_set.documents:
        pairs = {"pairs": document_list(read_set.documents)}
        reads.append(Read("load_documents_for_update", pairs))
    reads += map(read_range, sorted(starmap(KeyRange, read_set.document_ranges), key=repr))
    for time in sorted(read_set.expired_before):
        values = {"expired_before": time, "number": read_set.first_expired()}
        reads.append(Read("load_expired_documents", values))
    return reads


def _reads_of_runs(read_set: ReadSet) -> list[Read]:
    # An entry that the group itself puts into such a mailbox is in `entries`.
    puts = read_set.runs_in or read_set.runs_of_keys
    if puts or read_set.waiting_runs_in:
        values = {
            "ids": sorted(read_set.runs),
            "entries": sorted(read_set.entries if puts else read_set.runs_of),
            "mailboxes": sorted(read_set.runs_in),
            "pairs": pair_list(read_set.runs_of_keys),
            "threads": sorted(read_set.waiting_runs_in),
        }
        return [Read("load_runs_of_entries", values)]
    if read_set.runs_of:
        values = {"ids": sorted(read_set.runs), "entries": sorted(read_set.runs_of)}
        return [Read("load_runs_of_settled", values)]
    return [Read("load_runs_for_update", {"ids": sorted(read_set.runs)})] if read_set.runs else []
