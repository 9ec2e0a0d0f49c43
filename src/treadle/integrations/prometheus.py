"""Prometheus: metrics of stores and workers. It needs `treadle[prometheus]`.

`measure_stores()` measures each call of a store, `Worker(..., on_event=MeasuredEvents())` counts
deliveries, and `register(StoreCollector(store))` shows what waits::

    measure_stores()
    REGISTRY.register(StoreCollector(treadle.blocking.open_store(url).open()))
    worker = Worker(store, handler, on_event=MeasuredEvents())
    prometheus_client.start_http_server(8000)
"""

import asyncio
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

import msgspec

import treadle
from treadle import EntryReport, RunStats, StoreUnavailable
from treadle.blocking import Store
from treadle.integrations._open_stores import blocking_store
from treadle.integrations._requirements import requires
from treadle.integrations._store_calls import observe_calls
from treadle.worker import (
    Claimed,
    DeadLettered,
    Done,
    Event,
    LeaseLost,
    OnEvent,
    Outage,
    Purged,
    Released,
    Retried,
    Withdrawn,
    log_events,
)

with requires("treadle[prometheus]"):
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

__all__ = ["MeasuredEvents", "StoreCollector", "measure_stores"]

_LOGGER = logging.getLogger("treadle.prometheus")
_CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DELIVERY_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


def measure_stores(registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Measure the calls of all stores of this process, and return a function that ends it.

    `treadle_store_call_seconds{operation, error}` is how long calls last: `operation` is a read,
    such as "threads.load", or "commit" for any write; `error` is the class of its error, or empty.

    Args:
        registry: what the metric is registered with; call it once for each.
    """
    seconds = Histogram(
        "treadle_store_call_seconds",
        "How long calls of a store last.",
        ("operation", "error"),
        buckets=_CALL_SECONDS,
        registry=registry,
    )
    return observe_calls(partial(_measured, seconds))


class MeasuredEvents:
    """A hook of a worker that counts its deliveries: `Worker(..., on_event=MeasuredEvents())`.

    `treadle_deliveries_total{outcome}` counts them by how they ended: "accepted", "retried",
    "dead_letter", "released", "lease_lost", "superseded", "cancelled". `treadle_delivery_seconds`
    is how long they last, `treadle_deliveries_running` how many entries are worked on now,
    `treadle_outages_total{operation}` counts failures of the store, and
    `treadle_purged_entries_total` entries that were removed.

    Args:
        also: another hook, which gets every event too.
        registry: what the metrics are registered with; make one hook for each.
    """

    def __init__(
        self, also: OnEvent = log_events, *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._also = also
        self._running = Gauge(
            "treadle_deliveries_running",
            "Entries that are worked on.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._ended = Counter(
            "treadle_deliveries", "Deliveries that have ended.", ("outcome",), registry=registry
        )
        self._seconds = Histogram(
            "treadle_delivery_seconds",
            "How long deliveries last.",
            buckets=_DELIVERY_SECONDS,
            registry=registry,
        )
        self._outages = Counter(
            "treadle_outages", "Failures of the store.", ("operation",), registry=registry
        )
        self._purged = Counter(
            "treadle_purged_entries", "Old entries that were removed.", registry=registry
        )

    def __call__(self, event: Event) -> None:
        """Count an event."""
        self._count(event)
        self._also(event)

    def _count(self, event: Event) -> None:
        match event:
            case Claimed():
                self._running.inc()
            case Done():
                self._end("accepted", event.lasted_ms)
            case Retried():
                self._end("retried", event.lasted_ms)
            case DeadLettered():
                self._end("dead_letter", event.lasted_ms)
            case Released():
                self._end("released", event.lasted_ms)
            case LeaseLost():
                self._end("lease_lost")
            case Withdrawn():
                self._end(event.status)
            case Outage():
                self._outages.labels(event.operation).inc()
            case Purged():
                self._purged.inc(event.count)

    def _end(self, outcome: str, lasted_ms: int | None = None) -> None:
        self._running.dec()
        self._ended.labels(outcome).inc()
        if lasted_ms is not None:
            self._seconds.observe(lasted_ms / 1000)


class StoreCollector(Collector):
    """What waits in a store, read when metrics are asked for.

    `treadle_store_up`, `treadle_entries{status}`, `treadle_runs{status}`, `treadle_entries_due`,
    `treadle_entries_scheduled`, `treadle_entries_retrying`, `treadle_entries_paused`,
    `treadle_leases_expired` and `treadle_oldest_due_seconds`. All entries are counted each time.
    While the store is not available, `treadle_store_up` is 0, and the others are left out: the
    metrics of workers, such as their outages, are served all the same. Register one: the metrics
    of two have the same names.

    Args:
        store: an open store. It is used in the thread in which metrics are asked for.
        mailbox_id: only entries of this mailbox.
        timeout_ms: how long a request for metrics waits for the store at most, in milliseconds.
            Prometheus itself gives up after 10 seconds, unless it is configured otherwise.
    """

    def __init__(
        self, store: Store, *, mailbox_id: str | None = None, timeout_ms: int = 5_000
    ) -> None:
        self._store = blocking_store(store)
        self._mailbox_id = mailbox_id
        self._timeout_ms = timeout_ms

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that the store is not read when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the store."""
        text = "1 if the store could be read, and else 0."
        try:
            report, runs = self._store.run(self._read)
        except (StoreUnavailable, TimeoutError) as error:
            reason = str(error) or f"the store did not answer for {self._timeout_ms} ms"
            _LOGGER.warning("metrics lack what waits: %s", reason)
            yield GaugeMetricFamily("treadle_store_up", text, value=0)
            return
        yield GaugeMetricFamily("treadle_store_up", text, value=1)
        yield from _metrics_of(report, runs)

    async def _read(self, store: treadle.Store) -> tuple[EntryReport, RunStats]:
        async with asyncio.timeout(self._timeout_ms / 1000):
            report = await store.mailboxes.report(self._mailbox_id)
            return report, await store.runs.count()


def _metrics_of(report: EntryReport, runs: RunStats) -> Iterator[Metric]:
    oldest = report.at if report.oldest_due_at is None else report.oldest_due_at
    yield _by_status("treadle_entries", "Entries in each status.", report.counts)
    yield _by_status("treadle_runs", "Runs in each status.", runs)
    for name, text, value in (
        ("treadle_entries_due", "Entries that are due.", report.due),
        ("treadle_entries_scheduled", "Entries sent with a delay, not due.", report.scheduled),
        ("treadle_entries_retrying", "Entries that wait for a retry.", report.retrying),
        ("treadle_entries_paused", "Queued entries of paused mailboxes.", report.paused),
        ("treadle_leases_expired", "Claimed entries whose lease has expired.", report.expired),
        ("treadle_oldest_due_seconds", "Since when the oldest is due.", report.at - oldest),
    ):
        seconds = value / 1000 if name.endswith("_seconds") else value
        yield GaugeMetricFamily(name, text, value=seconds)


@contextmanager
def _measured(
    seconds: Histogram, operation: str, _arguments: dict[str, Any]
) -> Generator[None, None, None]:
    began, error = perf_counter(), ""
    try:
        yield
    except BaseException as failure:
        error = type(failure).__name__
        raise
    finally:
        seconds.labels(operation, error).observe(perf_counter() - began)


def _by_status(name: str, text: str, counts: msgspec.Struct) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("status",))
    for status, count in msgspec.structs.asdict(counts).items():
        if status != "extra":  # what a newer version of the store may count
            family.add_metric((status,), count)
    return family
