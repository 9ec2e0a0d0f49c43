"""All operations of the dashboard but those that log in."""

from treadle.http._dashboard import (
    _entries,
    _entry,
    _mailbox,
    _mailboxes,
    _overview,
    _search,
    _static,
    _thread,
    _threads,
)
from treadle.http._operation import Operation

PAGES: tuple[Operation, ...] = (
    *_overview.OPERATIONS,
    *_threads.OPERATIONS,
    *_thread.OPERATIONS,
    *_mailboxes.OPERATIONS,
    *_mailbox.OPERATIONS,
    *_entries.OPERATIONS,
    *_entry.OPERATIONS,
    *_search.OPERATIONS,
    *_static.OPERATIONS,
)
