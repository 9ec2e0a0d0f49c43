"""Queries: everything that can be read, as values.

Each query stands beside the model that it reads: in `threads`, `runs`, `mailboxes`.
"""

from typing import Any, Generic, TypeVar

from treadle.core.codec import Model, checked
from treadle.core.ids import check_ids
from treadle.core.limits import Time

AnswerT = TypeVar("AnswerT")
QueryT = TypeVar("QueryT", bound="Query[Any]")


class Query(Model, Generic[AnswerT], frozen=True, kw_only=True):
    """One read, and the rule for its answer."""

    def answer(self, rows: Any, now: int) -> AnswerT:
        """Answer from the rows of a store that is kept in tables (memory and files).

        A database answers with SQL; the conformance suite compares the two.

        Args:
            rows: the rows; a query names those that it needs in its signature.
            now: the present in unix milliseconds.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Refuse arguments that have the right type and cannot be asked for.

        Raises:
            InvalidValue: there is one; the message says where.
        """


class TimedQuery(Query[AnswerT], Generic[AnswerT], frozen=True, kw_only=True):
    """A query about `now` (unix milliseconds); None is the backend's clock."""

    now: Time | None = None


def answer_query(query: Query[AnswerT], rows: Any, clock: int) -> AnswerT:
    """Answer from rows.

    Args:
        query: a checked query.
        rows: the rows.
        clock: the present in unix milliseconds, for a query that brings no `now`.
    """
    now = query.now if isinstance(query, TimedQuery) else None
    return query.answer(rows, clock if now is None else now)


def check_query(query: QueryT, where: str) -> QueryT:
    """Return the query, checked; `where` names the call for errors.

    Raises:
        InvalidId, InvalidValue: an argument is out of its range; the message says which.
    """
    check_ids(query)
    query = checked(query, where)
    query.check()
    return query
