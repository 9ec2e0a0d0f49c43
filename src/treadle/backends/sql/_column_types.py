"""Checks that each value is of its column's type; SQLite keeps any value in any column."""

from functools import cache
from typing import Any, Literal, get_type_hints

import msgspec

from treadle.backends.sql.program import Row
from treadle.backends.sql.tables import BOOLEANS
from treadle.core.cursors import SortTime
from treadle.core.documents import Document
from treadle.core.limits import Count, Version
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.messages import StoredMessage

COLUMN_TYPES: dict[str, Any] = {
    **get_type_hints(MailboxState, include_extras=True),
    **get_type_hints(MailboxEntry, include_extras=True),
    "body": str,
    **dict.fromkeys(BOOLEANS, Literal[0, 1]),
    "collection": str,
    "committed_at": get_type_hints(StoredMessage, include_extras=True)["committed_at"],
    "expires_at": get_type_hints(Document, include_extras=True)["expires_at"],
    "extra": str | None,
    "headers": str | None,
    "key": str,
    "kind": int,
    "message_count": Count,
    "message_id": str | None,
    "patch_count": Count,
    "payload": str,
    "position": Count,
    "state": str,
    "thread_id": str,
    "thread_key": int,
    "created_at": SortTime,
    "updated_at": SortTime,
    "value": str,
    "version": Version,
}
"""The type of each column's values. Columns that are not here are not checked."""


def check_rows(columns: tuple[str, ...], rows: list[Row]) -> list[Row]:
    """Return the rows if each value has the type of its column.

    Raises:
        ValueError: one has not; the message names the column and the row.
    """
    try:
        msgspec.convert(rows, _rows_type(columns))
    except msgspec.ValidationError as error:
        raise ValueError(_describe(columns, rows) or str(error)) from error
    return rows


@cache
def _rows_type(columns: tuple[str, ...]) -> Any:
    fields = [(f"column_{i}", COLUMN_TYPES.get(name, Any)) for i, name in enumerate(columns)]
    return list[msgspec.defstruct("Row", fields, array_like=True)]  # type: ignore[misc]


def _describe(columns: tuple[str, ...], rows: list[Row]) -> str | None:
    """Say which column of which row is wrong, and why; a row is named by its first column."""
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            try:
                msgspec.convert(value, COLUMN_TYPES.get(column, Any))
            except msgspec.ValidationError as error:
                return f"in the row of {row[0]!r}, {column}: {error}"
    return None
