"""Queries: everything that can be read, as values.

Each query is defined beside the model that it reads, such as in `thread_queries` or `usage`.
"""

from collections.abc import Collection, Sequence
from typing import Any, Generic, TypeGuard, TypeVar

from treadle.core.codec import Model, checked
from treadle.core.ids import check_ids
from treadle.core.limits import Time
from treadle.errors import InvalidId, InvalidValue, shorten

AnswerT = TypeVar("AnswerT")
QueryT = TypeVar("QueryT", bound="Query[Any]")
ValueT = TypeVar("ValueT")


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

    def check(self, where: str) -> None:
        """Refuse arguments that have the right type and are out of their range.

        Args:
            where: names the query in errors.

        Raises:
            InvalidValue: an argument is out of its range; the message says which.
        """


class TimedQuery(Query[AnswerT], Generic[AnswerT], frozen=True, kw_only=True):
    """A query about `now` (unix milliseconds); None is the backend's clock."""

    now: Time | None = None


class Together(Query[tuple[Any, ...]], frozen=True, kw_only=True):
    """Several queries, which are answered from one snapshot; the answers are in their order.

    If one of them fails, all do.
    """

    queries: tuple[Query[Any], ...]

    def answer(self, rows: Any, now: int) -> tuple[Any, ...]:
        """Answer each of them."""
        return tuple(answer_query(query, rows, now) for query in self.queries)


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
    query.check(where)
    return query


def as_optional_tuple(values: Collection[ValueT] | None, where: str) -> tuple[ValueT, ...] | None:
    """Return the values that a filter accepts; None, which accepts all, stays None.

    Raises:
        InvalidValue: `values` is a single value, not a collection; `where` names it.
    """
    return None if values is None else as_tuple(values, where, "a list or None")


def as_tuple(values: Collection[ValueT], where: str, wanted: str = "a list") -> tuple[ValueT, ...]:
    """Return the values of a collection.

    Raises:
        InvalidValue: `values` is a single value, not a collection; `where` names it.
    """
    if isinstance(values, str) or not isinstance(values, Collection):
        raise InvalidValue(where, f"pass {wanted}, not {shorten(values)}")
    return tuple(values)


def check_queries(queries: Sequence[object]) -> Together:
    """Return queries, checked, to be answered together.

    Raises:
        InvalidId, InvalidValue: an argument is out of its range, or one of them is not a query; the
            message says where, such as `queries[1].limit`.
    """
    checked_queries: list[Query[Any]] = []
    for position, query in enumerate(queries):
        where = f"queries[{position}]"
        if not _is_query(query):
            raise InvalidValue(where, f"it must be a query, not a {type(query).__name__}")
        try:
            checked_queries.append(check_query(query, where))
        except InvalidId as error:
            error.add_note(f"it is in {where}")
            raise
    return Together(queries=tuple(checked_queries))


def _is_query(value: object) -> TypeGuard[Query[Any]]:
    """Return True for a query that backends know; those defined in this module are abstract."""
    module = type(value).__module__
    return (
        isinstance(value, Query)
        and type(value).answer is not Query.answer
        and module.startswith("treadle.core.")
        and module != __name__
    )
