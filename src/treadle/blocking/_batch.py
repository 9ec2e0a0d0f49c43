"""A batch in blocking code."""

from types import TracebackType

import treadle
from treadle.blocking._portal import Portal
from treadle.core.commands import Receipt
from treadle.store.documents import DocumentWrites
from treadle.store.mailbox_writes import MailboxWrites
from treadle.store.runs import RunWrites
from treadle.store.threads import ThreadWrites


class Batch:
    """One atomic step: `with store.batch() as step:`, then `step.threads.append(...)`.

    It is `treadle.Batch` without `async`: nothing is written before the block ends, and results are
    available after it: `sent.result` for `sent = step.mailboxes.send(...)`.
    """

    threads: ThreadWrites
    """Writes to threads."""
    runs: RunWrites
    """Writes to runs."""
    mailboxes: MailboxWrites
    """Writes to mailboxes, and `MailboxWrites.hold`."""
    documents: DocumentWrites
    """Writes to documents."""

    def __init__(self, batch: treadle.Batch, portal: Portal) -> None:
        self._batch = batch
        self._portal = portal
        self.threads = batch.threads
        self.runs = batch.runs
        self.mailboxes = batch.mailboxes
        self.documents = batch.documents

    @property
    def receipt(self) -> Receipt | None:
        """The receipt of the commit; None until then."""
        return self._batch.receipt

    def __enter__(self) -> "Batch":
        self._portal.call(self._batch.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.call(self._batch.__aexit__(kind, error, traceback))
