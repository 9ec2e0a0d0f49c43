"""What no command may ask a working set: it would have to look at rows that are not loaded."""

from collections.abc import Iterable
from typing import NoReturn

from treadle.backends.model.tables import Tables
from treadle.backends.sql.loaded_rows import NotLoaded
from treadle.core.claims import ClaimRequest
from treadle.core.document_keys import KeyRange
from treadle.core.id_ranges import Ids
from treadle.core.mailboxes import MailboxEntry
from treadle.core.messages import StoredMessage
from treadle.core.runs import RunRecord
from treadle.core.thread_summaries import ThreadSummary
from treadle.core.threads import ThreadDelta


class RefusingTables(Tables):
    """Tables whose finders for queries and claims raise an error: these have their statements."""

    def find_summary(self, thread_id: str) -> ThreadSummary | None:
        """Raise an error: no command may read a summary."""
        _refuse(f"summary of thread {thread_id!r}")

    def find_collections(self, first: str) -> Iterable[str]:
        """Raise an error: no command may list collections."""
        _refuse("collections")

    def unreadable_documents(self, keys: KeyRange) -> Iterable[str]:
        """Raise an error: no command may list documents."""
        _refuse("damaged documents")

    def find_thread_ids(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[str]:
        """Raise an error: no command may list threads."""
        _refuse("threads by owner or parent")

    def find_summaries(
        self, resource_id: str | None, parent_thread_id: str | None
    ) -> Iterable[ThreadSummary]:
        """Raise an error: no command may list threads."""
        _refuse("summaries of threads")

    def find_last_message(self, thread_id: str) -> StoredMessage | None:
        """Raise an error: no command may read the last message of a thread."""
        _refuse(f"last message of thread {thread_id!r}")

    def find_runs_in(self, thread_id: str) -> Iterable[RunRecord]:
        """Raise an error: no command may list runs."""
        _refuse(f"runs of thread {thread_id!r}")

    def find_deltas(
        self, thread_id: str, after_version: int, until_version: int
    ) -> tuple[ThreadDelta, ...] | None:
        """Raise an error: no command may read deltas."""
        _refuse(f"deltas of thread {thread_id!r}")

    def find_claimable(self, request: ClaimRequest, now: int) -> Iterable[MailboxEntry]:
        """Raise an error: claims have statements of their own."""
        _refuse("claimable entries")

    def next_due(self, now: int, mailboxes: Ids) -> int | None:
        """Raise an error: waits have statements of their own."""
        _refuse("due entries")


def _refuse(rows: str) -> NoReturn:
    raise NotLoaded(rows)
