"""Reading: which program answers a query."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from treadle.backends.sql import _mailboxes as mailboxes
from treadle.backends.sql import _runs as runs
from treadle.backends.sql import _threads as threads
from treadle.backends.sql.program import Program
from treadle.core.mailboxes import CountEntries, ListEntries, ListMailboxes, LoadEntry, LoadMailbox
from treadle.core.queries import Query
from treadle.core.runs import FindActiveRun, ListRuns, LoadRun
from treadle.core.threads import ListDeltas, ListMessages, ListThreads, LoadThread

T = TypeVar("T")

_PROGRAMS: dict[type[Query[Any]], Callable[[Any], Program[Any]]] = {
    LoadThread: threads.load_thread,
    ListMessages: threads.list_messages,
    ListThreads: threads.list_threads,
    ListDeltas: threads.list_deltas,
    LoadRun: runs.load_run,
    FindActiveRun: runs.find_active_run,
    ListRuns: runs.list_runs,
    LoadEntry: mailboxes.load_entry,
    ListEntries: mailboxes.list_entries,
    CountEntries: mailboxes.count_entries,
    LoadMailbox: mailboxes.load_mailbox,
    ListMailboxes: mailboxes.list_mailboxes,
}


def read(query: Query[T]) -> Program[T]:
    """The program that answers `query`."""
    return cast("Program[T]", _PROGRAMS[type(query)](query))
