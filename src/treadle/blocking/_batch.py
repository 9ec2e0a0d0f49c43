"""A batch in blocking code."""

from collections.abc import Mapping
from types import TracebackType

import treadle
from treadle.blocking._portal import Portal
from treadle.core.commands import Receipt
from treadle.core.messages import Message
from treadle.core.run_requests import RequestedRun, RunRequest
from treadle.store import runs as original
from treadle.store.documents import DocumentWrites
from treadle.store.mailbox_writes import MailboxWrites
from treadle.store.runs import RunWrites
from treadle.store.thread_writes import ThreadWrites


class BatchRuns(RunWrites):
    """Writes to runs in a batch, and requests for runs that commit with it."""

    def __init__(self, runs: original.BatchRuns, portal: Portal) -> None:
        super().__init__(runs._write)  # pyright: ignore[reportPrivateUsage] - its twin
        self._runs = runs
        self._portal = portal

    def request(
        self,
        request: RunRequest,
        /,
        *messages: Message,
        sender_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RequestedRun:
        """Request a run in the commit of the batch, as `request` of the batches of `treadle.Store`.

        Raises:
            AlreadyExists, NotWaiting, RunConflict: as for `Runs.request`, also at the end of the
                block.
            InvalidId, InvalidValue: as for `Runs.request`.
        """
        asked = self._runs.request(request, *messages, sender_id=sender_id, headers=headers)
        return self._portal.call(asked)


class Batch:
    """One atomic step: `with store.batch() as step:`, then `step.threads.append(...)`.

    It is `treadle.Batch` without `async`: nothing is written before the block ends, and results are
    available after it: `sent.result` for `sent = step.mailboxes.send(...)`.
    """

    threads: ThreadWrites
    """Writes to threads."""
    runs: BatchRuns
    """Writes to runs, and requests for them."""
    mailboxes: MailboxWrites
    """Writes to mailboxes, and `MailboxWrites.hold`."""
    documents: DocumentWrites
    """Writes to documents."""

    def __init__(self, batch: treadle.Batch, portal: Portal) -> None:
        self._batch = batch
        self._portal = portal
        self.threads = batch.threads
        self.runs = BatchRuns(batch.runs, portal)
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
