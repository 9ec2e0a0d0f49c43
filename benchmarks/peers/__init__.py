"""What is measured beside Treadle: one small file each, all given the same work.

Each keeps the settings that its own documentation recommends. Their packages are the dependency
group `bench`; one that is not there is reported as not installed.
"""

from benchmarks.peers.base import QueueSubject, Subject, ThreadSubject
from benchmarks.peers.by_hand import ByHand, ByHandBatched
from benchmarks.peers.by_hand_queue import ByHandQueue, ByHandQueueBatched
from benchmarks.peers.google_adk import AdkSessions
from benchmarks.peers.huey import HueyQueue
from benchmarks.peers.langgraph import AsyncSaverGraph, SaverGraph
from benchmarks.peers.litequeue import LiteQueue, LiteQueueFull
from benchmarks.peers.openai_agents import OpenAiSessions
from benchmarks.peers.persist_queue import PersistQueue
from benchmarks.peers.treadle_store import TreadleMailboxes, TreadleMailboxesAtOnce, TreadleThreads

KEEPERS: tuple[type[ThreadSubject], ...] = (
    ByHand,
    TreadleThreads,
    OpenAiSessions,
    SaverGraph,
    AsyncSaverGraph,
    AdkSessions,
)
"""Those that keep threads."""

KEEPERS_AT_ONCE: tuple[type[ThreadSubject], ...] = (ByHand, ByHandBatched, *KEEPERS[1:])
"""The same for many callers, whose appends one transaction can hold."""

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
"""Those that keep work waiting."""

__all__ = ["KEEPERS", "KEEPERS_AT_ONCE", "QUEUES", "QueueSubject", "Subject", "ThreadSubject"]
