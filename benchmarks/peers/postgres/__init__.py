"""The subjects on PostgreSQL, each with its own database on the server of the run."""

from benchmarks.peers.postgres.by_hand import AppendsByHand, DrainByHand
from benchmarks.peers.postgres.dbos import DbosQueue
from benchmarks.peers.postgres.google_adk import AdkOnPostgres
from benchmarks.peers.postgres.langgraph import SaverOnPostgres
from benchmarks.peers.postgres.openai_agents import OpenAiOnPostgres
from benchmarks.peers.postgres.pgqueuer import PgQueuerQueue
from benchmarks.peers.postgres.procrastinate import ProcrastinateQueue
from benchmarks.peers.postgres.saq import SaqQueue
from benchmarks.peers.postgres.treadle_store import (
    TreadleDrain,
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

APPENDED = (
    AppendsByHand,
    TreadleThreadsOnPostgres,
    OpenAiOnPostgres,
    SaverOnPostgres,
    AdkOnPostgres,
)
"""Subjects that store threads."""

__all__ = ["APPENDED", "DRAINED"]
