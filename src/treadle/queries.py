"""Queries: everything that can be read, as values, for `Store.read`.

`store.threads`, `store.runs`, `store.mailboxes` and `store.documents` have a method for each.
"""

from treadle.core.document_expiry import ListExpired
from treadle.core.documents import ListCollections, ListDocuments, LoadDocuments
from treadle.core.entry_groups import CountGroups
from treadle.core.explaining import ExplainEntry
from treadle.core.mailbox_queries import (
    CountEntries,
    ListEntries,
    ListMailboxes,
    ListMailboxSummaries,
    LoadClaims,
    LoadEntry,
    LoadMailbox,
    SearchEntries,
)
from treadle.core.mailbox_reports import ListConsumers, ListErrors, ReportEntries
from treadle.core.pages import PageQuery
from treadle.core.queries import Query, TimedQuery
from treadle.core.run_queries import CountRuns, FindActiveRun, ListRuns, LoadRun, SearchRuns
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread
from treadle.core.thread_summaries import ListThreadSummaries, LoadThreadSummary
from treadle.core.usage import SumUsage

__all__ = [
    "CountEntries",
    "CountGroups",
    "CountRuns",
    "ExplainEntry",
    "FindActiveRun",
    "ListCollections",
    "ListConsumers",
    "ListDeltas",
    "ListDocuments",
    "ListEntries",
    "ListErrors",
    "ListExpired",
    "ListMailboxSummaries",
    "ListMailboxes",
    "ListMessages",
    "ListRuns",
    "ListThreadSummaries",
    "ListThreads",
    "LoadClaims",
    "LoadDocuments",
    "LoadEntry",
    "LoadMailbox",
    "LoadRun",
    "LoadThread",
    "LoadThreadSummary",
    "PageQuery",
    "Query",
    "ReportEntries",
    "SearchEntries",
    "SearchRuns",
    "SumUsage",
    "TimedQuery",
]
