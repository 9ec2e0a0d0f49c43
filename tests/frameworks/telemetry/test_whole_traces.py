"""A trace has all that belongs to it: requests, answers, failures, and nothing of the worker's."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.frameworks.telemetry.test_opentelemetry import (
    Spans,
    attributes,
    context_of,
    is_below,
)
from tests.marks import every_backend
from treadle import Batch, Message, RunRequest, Store, Thread
from treadle.blocking import open_store
from treadle.integrations.opentelemetry import TracedEvents, trace_stores
from treadle.worker import Backoff, DeadLettered, Delivery, Interrupt, Reject, Turn, Worker

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The spans of stores, which are traced during the test."""
    opened = Spans()
    end = trace_stores(opened.provider)
    yield opened
    end()


def wanted(run_id: str = "r") -> RunRequest:
    return RunRequest(agent_id="a", thread_id="t", run_id=run_id)


@every_backend
async def test_it_goes_on_in_the_runs_that_are_requested_and_answered(
    store: Store, spans: Spans
) -> None:
    async def handler(delivery: Delivery) -> None:
        turn = Turn(delivery)
        answers = await turn.answers()
        asks = [] if answers else [Interrupt(id="q", message="May I?")]
        async with delivery.batch() as step:
            changes = turn.changes(status="done" if answers else "waiting", interrupts=asks)
            step.threads.append("t", changes)

    hook = TracedEvents(tracer_provider=spans.provider)
    with spans.tracer.start_as_current_span("asking"):
        await store.runs.request(wanted(), Message.user("hi"))
    await Worker(store, handler, on_event=hook).run(until_idle=True)
    with spans.tracer.start_as_current_span("answering"):
        await store.runs.answer("r", {"approved": True}, next_run_id="next")
    await Worker(store, handler, on_event=hook).run(until_idle=True)

    request, answer = spans.named("send")
    first, second = spans.named("process")
    assert is_below(request, spans.one("asking"))
    assert is_below(answer, spans.one("answering"))
    assert is_below(first, request)
    assert is_below(second, answer)
    assert attributes(request)["db.operation.name"] == "runs.request"
    assert attributes(request)["messaging.destination.name"] == "t"
    assert attributes(request)["treadle.run.id"] == "r"
    assert attributes(answer)["db.operation.name"] == "runs.answer"


async def test_a_batch_that_requests_a_run_gives_it_its_context(store: Store, spans: Spans) -> None:
    async with store.batch() as step:
        step.runs.request(wanted(), Message.user("hi"))
    entry = await store.mailboxes.load_entry("r")
    assert entry is not None
    context = context_of(spans.one("commit"))
    assert entry.headers["traceparent"].startswith(f"00-{context.trace_id:032x}-")


async def test_a_context_that_the_caller_gives_is_gone_on_with(store: Store, spans: Spans) -> None:
    """Such as that of a request over HTTP, in a server that nothing else traces."""
    headers = {"traceparent": CALLER}
    await store.runs.request(wanted(), Message.user("hi"), headers=headers)
    await store.mailboxes.send("m", 1, headers=headers)
    for sent, mailbox_id in zip(spans.named("send"), ("t", "m"), strict=True):
        [entry] = (await store.mailboxes.list_entries(mailbox_id=mailbox_id)).items
        context = context_of(sent)
        assert CALLER.startswith(f"00-{context.trace_id:032x}-")
        traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-"
        assert entry.headers["traceparent"].startswith(traceparent)


async def test_a_context_of_another_trace_stays(store: Store, spans: Spans) -> None:
    headers = {"traceparent": CALLER}
    with spans.tracer.start_as_current_span("request"):
        await store.runs.request(wanted(), Message.user("hi"), headers=headers)
    entry = await store.mailboxes.load_entry("r")
    assert entry is not None
    assert entry.headers == headers


def test_requests_of_a_blocking_store_send_it_too() -> None:
    spans = Spans()
    end = trace_stores(spans.provider)
    with open_store("memory:") as store, spans.tracer.start_as_current_span("asking"):
        store.runs.request(wanted(), Message.user("hi"))
        entry = store.mailboxes.load_entry("r")
    end()
    assert entry is not None
    assert "traceparent" in entry.headers
    assert is_below(spans.one("send"), spans.one("asking"))


@every_backend
async def test_what_settles_a_failed_attempt_is_below_its_delivery(
    store: Store, spans: Spans
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            raise ZeroDivisionError("boom")
        raise Reject("never")

    with spans.tracer.start_as_current_span("request"):
        await store.mailboxes.send("m", 1)
    hook = TracedEvents(lambda _: None, tracer_provider=spans.provider)
    backoff = Backoff(base_ms=50)
    await Worker(store, handler, on_event=hook, backoff=backoff).run(until_idle=True)

    first, second = spans.named("process")
    nack, dead_letter = spans.named("commit")
    assert attributes(nack)["db.operation.name"] == "Nack"
    assert is_below(nack, first)
    assert attributes(dead_letter)["db.operation.name"] == "DeadLetter"
    assert is_below(dead_letter, second)
    assert sorted(spans.all()) == ["commit", "commit", "process", "process", "request", "send"]


async def test_what_a_hook_adds_to_a_dead_letter_is_below_its_delivery(
    store: Store, spans: Spans
) -> None:
    async def handler(_: Delivery) -> None:
        raise Reject("never")

    async def tell(event: DeadLettered, step: Batch) -> None:
        await store.threads.summary("t")
        step.mailboxes.send("caller", event.error)

    await store.threads.create(Thread(id="t"))
    await store.mailboxes.send("m", 1)
    hook = TracedEvents(lambda _: None, tracer_provider=spans.provider)
    worker = Worker(store, handler, on_event=hook, on_dead_letter=tell, mailbox_id="m")
    await worker.run(until_idle=True)
    delivery = spans.one("process")
    assert is_below(spans.one("threads.summary"), delivery)
    assert is_below(spans.named("commit")[-1], delivery)


@pytest.mark.parametrize("until_idle", [False, True])
async def test_what_a_worker_calls_for_itself_has_no_span(
    store: Store, spans: Spans, until_idle: bool
) -> None:
    """It waits for a retry, looks at what is left, renews leases, finds losses, and purges."""
    tries: list[int] = []
    done = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        tries.append(delivery.entry.attempt_count)
        if len(tries) == 3:
            done.set()
        if len(tries) == 1:
            raise ZeroDivisionError
        if delivery.entry.mailbox_id == "lost":
            await store.mailboxes.interrupt("lost")
            await asyncio.sleep(60)

    await store.mailboxes.send("m", 1)
    await store.mailboxes.send("lost", 1, delay_ms=50)
    before = len(spans.all())
    hook = TracedEvents(lambda _: None, tracer_provider=spans.provider)
    worker = Worker(
        store,
        handler,
        on_event=hook,
        backoff=Backoff(base_ms=100),
        purge_after_ms=1,
        lease_ms=300,
    )
    running = asyncio.create_task(worker.run(until_idle=until_idle))
    if not until_idle:
        await done.wait()
        worker.stop()
    await running
    mine = {"process", "commit", "mailboxes.interrupt"}
    assert {*spans.all()[before:]} <= mine
    deliveries = spans.named("process")
    for commit in spans.named("commit")[2:]:
        assert any(is_below(commit, each) for each in deliveries)


async def test_deliveries_that_are_accepted_together_have_no_span_of_that(
    store: Store, spans: Spans
) -> None:
    """One commit for several belongs to none of them."""
    together = asyncio.Barrier(2)

    async def handler(_: Delivery) -> None:
        await together.wait()

    for mailbox_id in ("a", "b"):
        await store.mailboxes.send(mailbox_id, 1)
    hook = TracedEvents(lambda _: None, tracer_provider=spans.provider)
    await Worker(store, handler, on_event=hook).run(until_idle=True)
    deliveries = spans.named("process")
    assert [attributes(each)["treadle.outcome"] for each in deliveries] == ["accepted"] * 2
    for commit in spans.named("commit"):
        assert any(is_below(commit, each) for each in deliveries)
