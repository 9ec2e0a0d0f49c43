"""Queries: everything that can be read, as values, for `Store.read`.

`store.threads`, `store.runs`, `store.mailboxes` and `store.documents` have a method for each.
"""

from treadle.core.documents import ListCollections, ListDocuments, LoadDocuments
from treadle.core.heads import ListHeads, LoadHead
from treadle.core.mailboxes import CountEntries, ListEntries, ListMailboxes, LoadEntry, LoadMailbox
from treadle.core.pages import PageQuery
from treadle.core.queries import Query, TimedQuery
from treadle.core.runs import FindActiveRun, ListRuns, LoadRun
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread

__all__ = [
    "CountEntries",
    "FindActiveRun",
    "ListCollections",
    "ListDeltas",
    "ListDocuments",
    "ListEntries",
    "ListHeads",
    "ListMailboxes",
    "ListMessages",
    "ListRuns",
    "ListThreads",
    "LoadDocuments",
    "LoadEntry",
    "LoadHead",
    "LoadMailbox",
    "LoadRun",
    "LoadThread",
    "PageQuery",
    "Query",
    "TimedQuery",
]
