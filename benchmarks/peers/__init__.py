"""The subjects: Treadle, its peers, and the same work by hand, in a small file each.

Each has the settings that its own documentation recommends. The packages of the peers are the
dependency group `bench`; a peer without its package is reported as not installed.
"""

from benchmarks.peers.base import (
    DocumentSubject,
    EditSubject,
    HeadSubject,
    QueueSubject,
    Subject,
    ThreadSubject,
)
from benchmarks.peers.by_hand import ByHand, ByHandBatched
from benchmarks.peers.by_hand_appends import AppendsByHand
from benchmarks.peers.by_hand_documents import DocumentsByHand
from benchmarks.peers.by_hand_heads import HeadsByHand
from benchmarks.peers.by_hand_queue import ByHandQueue, ByHandQueueBatched
from benchmarks.peers.google_adk import AdkHeads, AdkSessions
from benchmarks.peers.huey import HueyQueue
from benchmarks.peers.langgraph import AsyncSaverGraph, SaverGraph
from benchmarks.peers.langgraph_store import LangGraphStore
from benchmarks.peers.litequeue import LiteQueue, LiteQueueFull
from benchmarks.peers.openai_agents import OpenAiSessions
from benchmarks.peers.persist_queue import PersistQueue
from benchmarks.peers.postgres import (
    APPENDED,
    AppendsOnPostgresByHand,
    DocumentsOnPostgresByHand,
    HeadsOnPostgresByHand,
    OpenAiOnPostgres,
    TreadleDocumentsOnPostgres,
    TreadleHeadsOnPostgres,
    TreadleThreadsOnPostgres,
)
from benchmarks.peers.treadle_store import (
    TreadleDocuments,
    TreadleHeads,
    TreadleMailboxes,
    TreadleMailboxesAtOnce,
    TreadleThreads,
)

THREAD_STORES: tuple[type[ThreadSubject], ...] = (
    ByHand,
    TreadleThreads,
    OpenAiSessions,
    SaverGraph,
    AsyncSaverGraph,
    AdkSessions,
)
"""Subjects that store threads."""

APPENDED_BY_ONE: tuple[type[ThreadSubject], ...] = (AppendsByHand, *THREAD_STORES)
"""The same for one caller, and with the statements of Treadle by hand."""

CONCURRENT_THREAD_STORES: tuple[type[ThreadSubject], ...] = (
    ByHand,
    ByHandBatched,
    *THREAD_STORES[1:],
)
"""The same for many callers, and with their appends batched by hand."""

QUEUES: tuple[type[QueueSubject], ...] = (
    ByHandQueue,
    ByHandQueueBatched,
    TreadleMailboxes,
    TreadleMailboxesAtOnce,
    HueyQueue,
    LiteQueue,
    LiteQueueFull,
    PersistQueue,
)
"""Subjects that are queues."""

HEADS: tuple[type[HeadSubject], ...] = (
    HeadsByHand,
    TreadleHeads,
    AdkHeads,
    HeadsOnPostgresByHand,
    TreadleHeadsOnPostgres,
)
"""Subjects that list threads."""

DOCUMENTS: tuple[type[DocumentSubject], ...] = (
    DocumentsByHand,
    TreadleDocuments,
    LangGraphStore,
    DocumentsOnPostgresByHand,
    TreadleDocumentsOnPostgres,
)
"""Subjects that store documents."""

EDITED: tuple[type[EditSubject], ...] = (
    ByHand,
    TreadleThreads,
    OpenAiSessions,
    AppendsOnPostgresByHand,
    TreadleThreadsOnPostgres,
    OpenAiOnPostgres,
)
"""Subjects that take messages back."""

STORED: tuple[type[ThreadSubject], ...] = (*THREAD_STORES, *APPENDED)
"""Subjects that store threads, even on a server."""

__all__ = [
    "APPENDED_BY_ONE",
    "CONCURRENT_THREAD_STORES",
    "DOCUMENTS",
    "EDITED",
    "HEADS",
    "QUEUES",
    "STORED",
    "THREAD_STORES",
    "QueueSubject",
    "Subject",
    "ThreadSubject",
]
