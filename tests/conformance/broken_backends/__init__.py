"""Backends that break one rule each, and the check that has to find it out."""

from tests.conformance.broken_backends import (
    batches,
    claims,
    closing,
    documents,
    explaining,
    groups,
    hints,
    live,
    mailboxes,
    order,
    past,
    pauses,
    processes,
    runs,
    size,
    taking,
    threads,
    values,
)
from tests.conformance.broken_backends.broken_backend import BROKEN_BACKENDS, BrokenBackend
from tests.conformance.broken_backends.histories import ONLY_BY_HISTORIES

__all__ = [
    "BROKEN_BACKENDS",
    "ONLY_BY_HISTORIES",
    "BrokenBackend",
    "batches",
    "claims",
    "closing",
    "documents",
    "explaining",
    "groups",
    "hints",
    "live",
    "mailboxes",
    "order",
    "past",
    "pauses",
    "processes",
    "runs",
    "size",
    "taking",
    "threads",
    "values",
]
