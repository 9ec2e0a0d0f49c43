"""Commands: everything that can be written, as values, for `Store.commit`.

`store.threads`, `store.runs`, `store.mailboxes` and `store.documents` have a method for each, but
`Store.purge_threads` commits `PurgeThread`.
"""

from treadle.core.asking_again import SupersedeRuns
from treadle.core.claims import Ack, DeadLetter, ExtendLease, Hold, Nack, Release, Settlement
from treadle.core.commands import Command, Commands, Receipt, TimedCommand
from treadle.core.documents import (
    CheckDocument,
    CreateDocument,
    DeleteDocument,
    DeleteDocuments,
    EnsureDocument,
    PutDocument,
    TouchDocument,
)
from treadle.core.edits import ForkThread, TruncateThread
from treadle.core.endings import (
    Cancel,
    CancelPending,
    DeleteMailbox,
    Interrupt,
    Purge,
    Requeue,
    Supersede,
    Withdraw,
)
from treadle.core.expired_documents import PurgeDocuments
from treadle.core.mailboxes import Enqueue, EnsureMailbox, Send
from treadle.core.old_threads import PurgeThread
from treadle.core.pauses import Pause, Resume
from treadle.core.restoring import (
    RestoreDocument,
    RestoreEntry,
    RestoreMailbox,
    RestoreRun,
    RestoreThread,
)
from treadle.core.runs import CheckRun, CountTokens, DeleteRun, EndWait, UpsertRun
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
