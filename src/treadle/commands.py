"""Commands: everything that can be written, as values, for `Store.commit`.

`store.threads`, `store.runs`, `store.mailboxes` and `store.documents` have a method for each, but
`Store.purge_threads` commits `PurgeThread`.
"""

from treadle.core.claims import Ack, DeadLetter, ExtendLease, Hold, Nack, Release, Settlement
from treadle.core.commands import Command, Commands, Receipt, TimedCommand
from treadle.core.document_expiry import PurgeDocuments
from treadle.core.documents import (
    CheckDocument,
    CreateDocument,
    DeleteDocument,
    DeleteDocuments,
    EnsureDocument,
    PutDocument,
    TouchDocument,
)
from treadle.core.mailbox_commands import (
    Cancel,
    CancelPending,
    Enqueue,
    EnsureMailbox,
    Interrupt,
    Requeue,
    Send,
    Supersede,
    Withdraw,
)
from treadle.core.mailbox_deletion import DeleteMailbox, Purge
from treadle.core.mailbox_pauses import Pause, Resume
from treadle.core.restoring import (
    RestoreDocument,
    RestoreEntry,
    RestoreMailbox,
    RestoreRun,
    RestoreThread,
)
from treadle.core.run_commands import CheckRun, CountTokens, DeleteRun, EndWait, UpsertRun
from treadle.core.superseded_runs import SupersedeRuns
from treadle.core.taking import Take
from treadle.core.thread_commands import (
    AppendThread,
    CheckThread,
    CreateThread,
    DeleteThread,
    EnsureThread,
    SaveThread,
    UpdateThread,
)
from treadle.core.thread_edits import ForkThread, TruncateThread
from treadle.core.thread_purge import PurgeThread

__all__ = [
    "Ack",
    "AppendThread",
    "Cancel",
    "CancelPending",
    "CheckDocument",
    "CheckRun",
    "CheckThread",
    "Command",
    "Commands",
    "CountTokens",
    "CreateDocument",
    "CreateThread",
    "DeadLetter",
    "DeleteDocument",
    "DeleteDocuments",
    "DeleteMailbox",
    "DeleteRun",
    "DeleteThread",
    "EndWait",
    "Enqueue",
    "EnsureDocument",
    "EnsureMailbox",
    "EnsureThread",
    "ExtendLease",
    "ForkThread",
    "Hold",
    "Interrupt",
    "Nack",
    "Pause",
    "Purge",
    "PurgeDocuments",
    "PurgeThread",
    "PutDocument",
    "Receipt",
    "Release",
    "Requeue",
    "RestoreDocument",
    "RestoreEntry",
    "RestoreMailbox",
    "RestoreRun",
    "RestoreThread",
    "Resume",
    "SaveThread",
    "Send",
    "Settlement",
    "Supersede",
    "SupersedeRuns",
    "Take",
    "TimedCommand",
    "TouchDocument",
    "TruncateThread",
    "UpdateThread",
    "UpsertRun",
    "Withdraw",
]
