"""Backends that break one rule each, and the check that has to find it out."""

from tests.conformance.saboteurs import batches, claims, mailboxes, processes, threads, values
from tests.conformance.saboteurs.histories import ONLY_BY_HISTORIES
from tests.conformance.saboteurs.saboteur import SABOTEURS, Saboteur

__all__ = [
    "ONLY_BY_HISTORIES",
    "SABOTEURS",
    "Saboteur",
    "batches",
    "claims",
    "mailboxes",
    "processes",
    "threads",
    "values",
]
