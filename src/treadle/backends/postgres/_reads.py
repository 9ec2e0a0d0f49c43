"""Small reads in groups: those that wait at the same time are one transaction, on one snapshot."""

from collections.abc import Callable, Sequence
from typing import Any

from treadle.backends._deadline import Deadline
from treadle.backends._group_thread import Failure
from treadle.backends.postgres._transactions import (
    Call,
    Database,
    Submit,
    Transaction,
    outcomes_of_failed_group,
)
from treadle.backends.sql.reads import read_each
from treadle.core.queries import Query


class Reads:
    """Answers queries in groups. If a group fails as a whole, each query is asked by itself."""

    def __init__(self, database: Database, clock: Callable[[], int | None], submit: Submit) -> None:
        self._database = database
        self._clock = clock
        self._submit = submit

    def carry_out(self, calls: list[Call[Query[Any]]]) -> list[Any]:
        """Answer all queries in one transaction.

        Returns:
            For each call its answer, a `Failure`, or a future of one of the two.
        """
        queries = [call.request for call in calls]
        transaction = self._transaction(queries, calls[0].deadline)  # the earliest
        try:
            outcomes = transaction.run()
        except Exception as error:  # it is raised to the callers: the thread must go on
            return outcomes_of_failed_group(transaction, error, calls, self._submit, self._answer)
        return [
            Failure(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes
        ]

    def _answer(self, call: Call[Query[Any]], lock_ms: int) -> Any:
        [outcome] = self._transaction([call.request], call.deadline).run()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _transaction(
        self, queries: Sequence[Query[Any]], deadline: Deadline
    ) -> Transaction[list[Any]]:
        now = self._clock()
        return Transaction(
            self._database,
            lambda: read_each(queries, self._database.damage, now),
            deadline,
            is_read_only=True,
            reads_once=True,
        )
