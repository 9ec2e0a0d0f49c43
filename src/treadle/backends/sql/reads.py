"""Reading: which program answers a query."""

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any, TypeVar, cast

from treadle.backends._damage import DamageLog
from treadle.backends.sql import _documents as documents
from treadle.backends.sql import _explaining as explaining
from treadle.backends.sql import _mailboxes as mailboxes
from treadle.backends.sql import _reporting as reporting
from treadle.backends.sql import _runs as runs
from treadle.backends.sql import _threads as threads
from treadle.backends.sql.program import Program, Row, Statement
from treadle.core.document_expiry import ListExpired
from treadle.core.documents import ListCollections, ListDocuments, LoadDocuments
from treadle.core.entry_groups import CountGroups
from treadle.core.explaining import ExplainEntry
from treadle.core.limits import clamp_page
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
from treadle.core.queries import Query, TimedQuery, Together
from treadle.core.run_queries import CountRuns, FindActiveRun, ListRuns, LoadRun, SearchRuns
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads, LoadThread
from treadle.core.thread_summaries import ListThreadSummaries, LoadThreadSummary
from treadle.core.usage import SumUsage

T = TypeVar("T")

_PROGRAMS: dict[type[Query[Any]], Callable[[Any], Program[Any]]] = {
    LoadThreadSummary: threads.load_summary,
    LoadThread: threads.load_thread,
    ListMessages: threads.list_messages,
    ListDeltas: threads.list_deltas,
    LoadRun: runs.load_run,
    CountRuns: runs.count_runs,
    LoadEntry: mailboxes.load_entry,
    CountEntries: mailboxes.count_entries,
    LoadMailbox: mailboxes.load_mailbox,
}
_LISTINGS: dict[type[Query[Any]], Callable[[Any, DamageLog], Program[Any]]] = {
    ListThreadSummaries: threads.list_summaries,
    ListThreads: threads.list_threads,
    FindActiveRun: runs.find_active_run,
    ListRuns: runs.list_runs,
    SearchRuns: runs.search_runs,
    SumUsage: runs.sum_usage,
    LoadClaims: mailboxes.load_claims,
    ListEntries: mailboxes.list_entries,
    ListErrors: reporting.list_errors,
    ListMailboxes: mailboxes.list_mailboxes,
    ListMailboxSummaries: mailboxes.list_summaries,
}
"""Programs that look at many records, and leave out those that cannot be read."""

_READING_ON = frozenset({ListDeltas, ListMailboxSummaries, SumUsage})
"""Queries whose programs read again what their first rows name."""

_TIMED: dict[type[Query[Any]], Callable[[Any, DamageLog, int | None], Program[Any]]] = {
    SearchEntries: mailboxes.search_entries,
    ExplainEntry: explaining.explain_entry,
    CountGroups: reporting.count_groups,
    ListConsumers: reporting.list_consumers,
    ReportEntries: reporting.report_entries,
    LoadDocuments: documents.load_documents,
    ListDocuments: documents.list_documents,
    ListCollections: documents.list_collections,
    ListExpired: documents.list_expired,
}
"""Programs whose answer depends on the time; None is the database's clock."""


def read(query: Query[T], damage: DamageLog, clock: int | None) -> Program[T]:
    """The program that answers `query`; `damage` notes the records that it leaves out.

    `clock` is the present in unix milliseconds; None is the database's clock.
    """
    if isinstance(query, Together):
        programs = [read(each, damage, clock) for each in query.queries]
        return cast("Program[T]", _side_by_side(programs))
    if isinstance(query, TimedQuery):
        now = clock if query.now is None else query.now
        return cast("Program[T]", _TIMED[type(query)](query, damage, now))
    listing = _LISTINGS.get(type(query))
    if listing is not None:
        return cast("Program[T]", listing(query, damage))
    return cast("Program[T]", _PROGRAMS[type(query)](query))


def reads_once(query: Query[Any]) -> bool:
    """Return True if the program of a query reads in one step, unless it meets damage."""
    if isinstance(query, Together):
        return all(map(reads_once, query.queries))
    return type(query) not in _READING_ON


def most_documents(query: Query[Any]) -> int:
    """Return how many documents an answer has at most; 0: it is about something else, too."""
    match query:
        case Together():
            counts = [most_documents(each) for each in query.queries]
            return sum(counts) if 0 not in counts else 0
        case LoadDocuments():
            return len(query.keys)
        case ListDocuments():
            return clamp_page(query.limit)
        case _:
            return 0


def read_each(
    queries: Sequence[Query[Any]], damage: DamageLog, clock: int | None
) -> Program[list[Any]]:
    """Answer queries from one snapshot; the error of one that fails stands for its answer."""
    programs = [_with_error(read(query, damage, clock)) for query in queries]
    return list((yield from _side_by_side(programs)))


def _with_error(program: Program[Any]) -> Program[Any]:
    try:
        return (yield from program)
    except Exception as error:  # it is raised to the caller of this query
        return error


def _side_by_side(programs: Sequence[Program[Any]]) -> Program[tuple[Any, ...]]:
    """Run programs that read, each step of all of them together; return their results."""
    results: list[Any] = [None] * len(programs)
    rows_of: dict[int, list[list[Row]] | None] = dict.fromkeys(range(len(programs)))
    while rows_of:
        steps: dict[int, tuple[Statement, ...]] = {}
        for position, rows in rows_of.items():
            try:
                # A generator that has not begun takes None only.
                steps[position] = programs[position].send(rows)  # type: ignore[arg-type]
            except StopIteration as end:
                results[position] = end.value
        if not steps:
            break
        rows_in_turn = iter((yield tuple(chain.from_iterable(steps.values()))))
        rows_of = {key: list(islice(rows_in_turn, len(step))) for key, step in steps.items()}
    return tuple(results)
