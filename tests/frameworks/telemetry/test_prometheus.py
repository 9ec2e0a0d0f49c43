"""Metrics count calls, deliveries and what waits."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.marks import every_backend
from treadle import Message, NotFound, Runs, Store, StoreUnavailable, Thread
from treadle.blocking import open_store
from treadle.integrations.opentelemetry import trace_stores
from treadle.integrations.prometheus import MeasuredEvents, StoreCollector, measure_stores
from treadle.worker import Backoff, Delivery, Event, Reject, Worker


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """A registry, with the calls of stores during the test."""
    made = CollectorRegistry()
    end = measure_stores(made)
    yield made
    end()


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def calls(registry: CollectorRegistry, operation: str, error: str = "") -> float | None:
    return sample(registry, "treadle_store_call_seconds_count", operation=operation, error=error)


@every_backend
async def test_calls_are_measured(store: Store, registry: CollectorRegistry) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", Message.user("hi"))
    await store.threads.message_count("t")
    with pytest.raises(NotFound):
        await store.threads.append("none", Message.user("hi"))
    assert calls(registry, "commit") == 2
    assert calls(registry, "commit", "NotFound") == 1
    assert calls(registry, "threads.message_count") == 1
    assert calls(registry, "threads.list_messages") is None


async def test_deliveries_are_counted(store: Store, registry: CollectorRegistry) -> None:
    async def handler(delivery: Delivery) -> None:
        assert sample(registry, "treadle_deliveries_running") == 1
        match delivery.entry.payload, delivery.entry.attempt_count:
            case "fails once", 1:
                raise ZeroDivisionError
            case "is wrong", _:
                raise Reject("wrong")

    for payload in ("works", "fails once", "is wrong"):
        await store.mailboxes.send("m", payload)
    hook = MeasuredEvents(lambda _: None, registry=registry)
    worker = Worker(store, handler, on_event=hook, concurrency=1, backoff=Backoff(base_ms=1))
    await worker.run(until_idle=True)
    ended = {
        outcome: sample(registry, "treadle_deliveries_total", outcome=outcome)
        for outcome in ("accepted", "retried", "dead_letter")
    }
    assert ended == {"accepted": 2, "retried": 1, "dead_letter": 1}
    assert sample(registry, "treadle_deliveries_running") == 0
    assert sample(registry, "treadle_delivery_seconds_count") == 4


async def test_a_further_hook_that_fails_hides_nothing(
    store: Store, registry: CollectorRegistry
) -> None:
    def fail(_: Event) -> None:
        raise ZeroDivisionError

    async def handler(_: Delivery) -> None:
        pass

    await store.mailboxes.send("m", 1)
    hook = MeasuredEvents(fail, registry=registry)
    await Worker(store, handler, on_event=hook).run(until_idle=True)
    assert sample(registry, "treadle_deliveries_total", outcome="accepted") == 1
    assert sample(registry, "treadle_deliveries_running") == 0


def test_what_waits_is_read_when_metrics_are_asked_for(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        registry.register(StoreCollector(store))
        store.mailboxes.send("m", 1)
        store.mailboxes.send("m", 2, delay_ms=60_000)
        text = generate_latest(registry).decode()
        assert 'treadle_entries{status="queued"} 2.0' in text
        assert "treadle_entries_due 1.0" in text
        assert "treadle_entries_scheduled 1.0" in text
        assert "treadle_leases_expired 0.0" in text
        assert 'treadle_runs{status="running"} 0.0' in text
        [oldest] = [line for line in text.splitlines() if line.startswith("treadle_oldest_due")]
        assert 0 <= float(oldest.split()[1]) < 60


PATIENT_MS = 60_000


async def refuse(*_: object) -> None:
    raise StoreUnavailable("db.example", "connection refused")


async def hang(*_: object) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("outage", "timeout_ms", "reason"),
    [(refuse, PATIENT_MS, "connection refused"), (hang, 50, "did not answer for 50 ms")],
)
def test_other_metrics_are_served_while_the_store_is_not_available(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    outage: Callable[..., object],
    timeout_ms: int,
    reason: str,
) -> None:
    registry, patient = CollectorRegistry(), CollectorRegistry()
    MeasuredEvents(registry=registry)
    with open_store("memory:") as store:
        registry.register(StoreCollector(store, timeout_ms=timeout_ms))
        patient.register(StoreCollector(store, timeout_ms=PATIENT_MS))
        assert "treadle_store_up 1.0" in generate_latest(patient).decode()
        monkeypatch.setattr(Runs, "count", outage)
        text = generate_latest(registry).decode()
        assert "treadle_store_up 0.0" in text
        assert "treadle_deliveries_running 0.0" in text
        assert "treadle_entries{" not in text
        assert reason in caplog.text
        monkeypatch.undo()
        assert "treadle_store_up 1.0" in generate_latest(patient).decode()


def test_traces_and_metrics_end_in_any_order() -> None:
    registry = CollectorRegistry()
    end_metrics, end_traces = measure_stores(registry), trace_stores()
    with open_store("memory:") as store:
        store.mailboxes.send("m", 1)
        end_metrics()
        store.mailboxes.send("m", 2)
        end_traces()
        store.mailboxes.send("m", 3)
    assert calls(registry, "commit") == 1
    assert not hasattr(Store.commit, "__wrapped__")
