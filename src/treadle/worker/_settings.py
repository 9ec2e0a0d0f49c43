"""A worker's settings, checked, and what the parts of a running worker share."""

import os
import secrets
import socket
from dataclasses import dataclass
from random import Random

import msgspec

from treadle.core.codec import check_integer, check_json
from treadle.core.id_ranges import Prefix, is_in, ranges_of
from treadle.core.ids import check_id
from treadle.errors import InvalidValue, shorten
from treadle.store.store import Store
from treadle.worker._clock import StoreClock, WorkerClock
from treadle.worker._events import OnEvent
from treadle.worker._health import Health
from treadle.worker.backoff import Backoff


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker works; see `Worker`.

    Raises:
        InvalidValue, InvalidId: a setting is out of its range.
    """

    concurrency: int
    coalesce: int
    lease_ms: int
    max_attempts: int
    backoff: Backoff
    keep_order: bool
    consumer: str
    mailbox_id: str | None
    mailbox_prefix: Prefix | None
    except_prefix: Prefix
    grace_ms: int
    purge_after_ms: int | None
    purge_documents: bool | None

    def __post_init__(self) -> None:
        _check_least("concurrency", self.concurrency, 1)
        _check_least("coalesce", self.coalesce, 1)
        _check_least("lease_ms", self.lease_ms, 1)
        _check_least("max_attempts", self.max_attempts, 1)
        _check_least("grace_ms", self.grace_ms, 0)
        if self.purge_after_ms is not None:
            _check_least("purge_after_ms", self.purge_after_ms, 0)
        if self.purge_documents is not None:
            _check_kind("purge_documents", self.purge_documents, bool)
        if self.mailbox_id is not None:
            check_id("mailbox", self.mailbox_id)
        ranges_of(self.mailbox_id, self.mailbox_prefix, self.except_prefix)
        _check_kind("consumer", self.consumer, str)
        check_json(self.consumer, "consumer")
        _check_kind("backoff", self.backoff, Backoff)
        _check_kind("keep_order", self.keep_order, bool)

    def includes(self, mailbox_id: str) -> bool:
        """Return whether entries of a mailbox are processed."""
        ranges = ranges_of(self.mailbox_id, self.mailbox_prefix, self.except_prefix)
        return self.mailbox_id in (None, mailbox_id) and is_in(ranges, mailbox_id)

    @property
    def purges_documents(self) -> bool:
        """Whether documents that have expired are removed."""
        if self.purge_documents is None:
            return self.purge_after_ms is not None
        return self.purge_documents

    @property
    def purges(self) -> bool:
        """Whether anything is removed from time to time."""
        return self.purge_after_ms is not None or self.purges_documents

    @property
    def lease_s(self) -> float:
        """The length of a lease, in seconds."""
        return self.lease_ms / 1000


@dataclass(frozen=True)
class RunContext:
    """What the parts of a running worker share."""

    store: Store
    settings: Settings
    emit: OnEvent
    clock: WorkerClock
    store_clock: StoreClock
    random: Random
    health: Health


def new_consumer() -> str:
    """Return a worker name that says where the worker runs and that no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _check_kind(name: str, value: object, kind: type) -> None:
    if type(value) is not kind:  # a subclass may have another idea of its numbers
        raise InvalidValue(name, f"it must be a {kind.__name__}, not {shorten(value)}")


def _check_least(name: str, value: int, least: int) -> None:
    if check_integer(name, value) < least:
        raise InvalidValue(name, f"it must be at least {least}, not {value}")
