"""Rows that are in the way of a write, and that the program does not see when it reads again.

Two writers may insert the same row. The slower one fails, is tried again, and reads what the faster
one has left. If it meets the same row again and again, nothing that it reads refers to that row.
"""

from psycopg import errors

from treadle.backends.postgres._limits import MOST_MEETINGS
from treadle.errors import CorruptRecord


class Obstacles:
    """Counts how often one transaction has met the same row.

    Args:
        where: the store, for errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._met = ""
        self._times = 0

    def check(self, error: Exception) -> None:
        """Take note of the conflict that has ended an attempt.

        Raises:
            CorruptRecord: the same row was in the way `MOST_MEETINGS` times.
        """
        met = ""
        if isinstance(error, errors.UniqueViolation):
            row = error.diag.message_detail or error.diag.constraint_name
            met = f"table {error.diag.table_name} has a row that nothing refers to: {row}"
        self._times = self._times + 1 if met and met == self._met else 1
        self._met = met
        if met and self._times >= MOST_MEETINGS:
            raise CorruptRecord(self._where, met) from error
