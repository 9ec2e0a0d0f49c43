"""Operations on entries of mailboxes: look, explain, and end without a claim."""

from treadle.core.explaining import ExplainEntry, Explanation
from treadle.core.mailbox_commands import Cancel, Requeue, Supersede
from treadle.core.mailbox_queries import FoundEntries, LoadEntry, SearchEntries
from treadle.core.mailbox_reports import EntryReport, ReportEntries
from treadle.core.mailboxes import MailboxEntry
from treadle.http._handlers import ask, ask_for, write_to
from treadle.http._operation import Operation
from treadle.http._owners import ALL, OWN_ENTRY

_KIND = "mailbox entry"

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/search/entries",
        summary="List the entries of all mailboxes, newest first, in pages by a cursor.",
        action="read",
        owner=ALL,
        query=SearchEntries,
        answers={200: FoundEntries},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/stats",
        summary="Read what waits, what is held and what fails in all mailboxes.",
        action="read",
        owner=ALL,
        query=ReportEntries,
        answers={200: EntryReport},
        handle=ask,
    ),
    Operation(
        method="GET",
        path="/v1/entries/{entry_id}",
        summary="Read an entry.",
        action="read",
        owner=OWN_ENTRY,
        query=LoadEntry,
        answers={200: MailboxEntry},
        handle=ask_for(_KIND, "entry_id"),
    ),
    Operation(
        method="GET",
        path="/v1/entries/{entry_id}/explain",
        summary="Say why an entry does not run.",
        action="read",
        owner=OWN_ENTRY,
        query=ExplainEntry,
        answers={200: Explanation},
        handle=ask_for(_KIND, "entry_id"),
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/cancel",
        summary="Cancel an entry, even if it is claimed; one that has ended stays as it is.",
        action="cancel",
        owner=OWN_ENTRY,
        body=Cancel,
        body_is_optional=True,
        answers={200: MailboxEntry},
        handle=write_to(_KIND, "entry_id"),
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/supersede",
        summary="End an entry because of a newer one.",
        action="cancel",
        owner=OWN_ENTRY,
        body=Supersede,
        answers={200: MailboxEntry},
        handle=write_to(_KIND, "entry_id"),
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/requeue",
        summary="Queue a dead letter again; any other entry stays as it is.",
        action="requeue",
        owner=OWN_ENTRY,
        body=Requeue,
        body_is_optional=True,
        answers={200: MailboxEntry},
        handle=write_to(_KIND, "entry_id"),
    ),
)
