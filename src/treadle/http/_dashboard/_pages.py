"""All operations of the dashboard but those that log in."""

from treadle.http._dashboard import (
    _chosen_entries,
    _entries,
    _entry,
    _mailbox,
    _mailbox_actions,
    _mailboxes,
    _overview,
    _search,
    _static,
    _thread,
    _thread_answers,
    _thread_edits,
    _thread_stream,
    _thread_tabs,
    _thread_work,
    _threads,
)
from treadle.http._operation import Operation

PAGES: tuple[Operation, ...] = (
    *_overview.OPERATIONS,
    *_threads.OPERATIONS,
    *_thread.OPERATIONS,
    *_thread_tabs.OPERATIONS,
    *_thread_stream.OPERATIONS,
    *_thread_edits.OPERATIONS,
    *_thread_work.OPERATIONS,
    *_thread_answers.OPERATIONS,
    *_mailboxes.OPERATIONS,
    *_mailbox.OPERATIONS,
    *_mailbox_actions.OPERATIONS,
    *_entries.OPERATIONS,
    *_entry.OPERATIONS,
    *_chosen_entries.OPERATIONS,
    *_search.OPERATIONS,
    *_static.OPERATIONS,
)
