"""Commands: everything that can be written, as values, for `Store.commit`.

`store.threads`, `store.runs` and `store.mailboxes` have a method for each of these.
"""

from treadle.core.claims import Ack, DeadLetter, ExtendLease, Hold, Nack, Release, Settlement
from treadle.core.commands import Command, Commands, Receipt, TimedCommand
from treadle.core.heads import CheckThread, UpdateThread
from treadle.core.mailboxes import (
    Cancel,
    CancelPending,
    Enqueue,
    EnsureMailbox,
    Interrupt,
    Purge,
    Requeue,
    Send,
    Supersede,
)
from treadle.core.restoring import RestoreEntry, RestoreMailbox, RestoreThread
from treadle.core.runs import DeleteRun, UpsertRun
from treadle.core.threads import AppendThread, CreateThread, DeleteThread, EnsureThread, SaveThread

__all__ = [
    "Ack",
    "AppendThread",
    "Cancel",
    "CancelPending",
    "CheckThread",
    "Command",
    "Commands",
    "CreateThread",
    "DeadLetter",
    "DeleteRun",
    "DeleteThread",
    "Enqueue",
    "EnsureMailbox",
    "EnsureThread",
    "ExtendLease",
    "Hold",
    "Interrupt",
    "Nack",
    "Purge",
    "Receipt",
    "Release",
    "Requeue",
    "RestoreEntry",
    "RestoreMailbox",
    "RestoreThread",
    "SaveThread",
    "Send",
    "Settlement",
    "Supersede",
    "TimedCommand",
    "UpdateThread",
    "UpsertRun",
]
