"""The subjects on PostgreSQL, each with its own database on the server of the run."""

from benchmarks.peers.base import ThreadSubject
from benchmarks.peers.postgres.by_hand import (
    AppendsInPipelinesByHand,
    AppendsOnPostgresByHand,
    DocumentsOnPostgresByHand,
    DrainByHand,
    HeadsOnPostgresByHand,
)
from benchmarks.peers.postgres.dbos import DbosQueue
from benchmarks.peers.postgres.google_adk import AdkOnPostgres
from benchmarks.peers.postgres.langgraph import SaverOnPostgres
from benchmarks.peers.postgres.openai_agents import OpenAiOnPostgres
from benchmarks.peers.postgres.pgqueuer import PgQueuerQueue
from benchmarks.peers.postgres.procrastinate import ProcrastinateQueue
from benchmarks.peers.postgres.saq import SaqQueue
from benchmarks.peers.postgres.treadle_store import (
    TreadleDocumentsOnPostgres,
    TreadleDrain,
    TreadleHeadsOnPostgres,
    TreadleInMailboxes,
    TreadleThreadsOnPostgres,
    TreadleWorker,
)

DRAINED = (
    DrainByHand,
    TreadleDrain,
    TreadleInMailboxes,
    TreadleWorker,
    PgQueuerQueue,
    ProcrastinateQueue,
    SaqQueue,
    DbosQueue,
)
"""Subjects that are queues."""

APPENDED: tuple[type[ThreadSubject], ...] = (
    AppendsOnPostgresByHand,
    AppendsInPipelinesByHand,
    TreadleThreadsOnPostgres,
    OpenAiOnPostgres,
    SaverOnPostgres,
    AdkOnPostgres,
)
"""Subjects that store threads."""

__all__ = [
    "APPENDED",
    "DRAINED",
    "AppendsOnPostgresByHand",
    "DocumentsOnPostgresByHand",
    "HeadsOnPostgresByHand",
    "OpenAiOnPostgres",
    "TreadleDocumentsOnPostgres",
    "TreadleHeadsOnPostgres",
    "TreadleThreadsOnPostgres",
]
