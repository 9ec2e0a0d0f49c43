"""A trace leads from the call that sends an entry to what its handler does, in another worker."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

import treadle
from tests.marks import every_backend
from treadle import InvalidValue, MailboxEntry, Message, NotFound, Store, Thread
from treadle.blocking import open_store
from treadle.commands import DeleteThread, Send
from treadle.integrations.opentelemetry import TracedEvents, trace_stores
from treadle.queries import LoadEntry, LoadMailbox, LoadThreadSummary
from treadle.worker import Backoff, Delivery, Event, Reject, Worker


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def all(self) -> list[str]:
        return [span.name for span in self._exporter.get_finished_spans()]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The spans of stores, which are traced during the test."""
    opened = Spans()
    end = trace_stores(opened.provider)
    yield opened
    end()


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def is_below(child: ReadableSpan, parent: ReadableSpan) -> bool:
    return child.parent is not None and child.parent.span_id == context_of(parent).span_id


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@every_backend
async def test_a_trace_goes_through_the_headers_of_an_entry(store: Store, spans: Spans) -> None:
    await store.threads.create(Thread(id="t"))

    async def handler(delivery: Delivery) -> None:
        with spans.tracer.start_as_current_span("thinking"):
            await delivery.store.threads.summary("t")
        async with delivery.batch() as step:
            step.threads.append("t", Message.assistant("hi"))

    with spans.tracer.start_as_current_span("request"):
        await store.mailboxes.send("t", {"text": "hello"}, headers={"tenant": "a"})
    worker = Worker(store, handler, on_event=TracedEvents(tracer_provider=spans.provider))
    await worker.run(until_idle=True)

    request, sent, delivery = spans.one("request"), spans.one("send"), spans.one("process")
    assert is_below(sent, request)
    assert is_below(delivery, sent)
    assert is_below(spans.one("thinking"), delivery)
    assert is_below(spans.one("threads.summary"), spans.one("thinking"))
    [settled] = [span for span in spans.named("commit") if is_below(span, delivery)]
    names = attributes(settled)["treadle.commands"]
    assert names == ("Hold", "AppendThread", "Ack")
    assert (sent.kind, delivery.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert settled.kind is SpanKind.CLIENT
    found = attributes(delivery)
    assert found["messaging.system"] == "treadle"
    assert found["messaging.operation.type"] == "process"
    assert found["messaging.destination.name"] == "t"
    assert found["treadle.outcome"] == "accepted"
    assert found["treadle.attempt"] == 1
    assert delivery.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_each_delivery_of_a_worker_has_its_own_trace(
    store: Store, spans: Spans, concurrency: int
) -> None:
    """The trace of one tenant must not get what is done for the others."""
    seen: list[tuple[str, bool]] = []

    async def handler(delivery: Delivery) -> None:
        with spans.tracer.start_as_current_span(f"thinking {delivery.entry.mailbox_id}"):
            await asyncio.sleep(0)

    def also(event: Event) -> None:
        seen.append((type(event).__name__, trace.get_current_span().is_recording()))

    names = [f"m{number}" for number in range(4)]
    for name in names:
        with spans.tracer.start_as_current_span(f"request {name}"):
            await store.mailboxes.send(name, 1)
    hook = TracedEvents(also, tracer_provider=spans.provider)
    worker = Worker(store, handler, on_event=hook, concurrency=concurrency)
    await worker.run(until_idle=True)
    for name in names:
        [delivery] = [
            span
            for span in spans.named("process")
            if attributes(span)["treadle.mailbox.id"] == name
        ]
        thinking = spans.one(f"thinking {name}")
        assert is_below(thinking, delivery)
        assert context_of(thinking).trace_id == context_of(spans.one(f"request {name}")).trace_id
        assert not delivery.links
    assert seen == [(kind, True) for kind, _ in seen]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_calls_have_the_attributes_of_databases(store: Store, spans: Spans) -> None:
    await store.documents.put("notes", "k", 1)
    await store.documents.load("notes", "k")
    with pytest.raises(NotFound):
        await store.threads.append("none", Message.user("hi"))
    await store.read(LoadThreadSummary(thread_id="t"), LoadMailbox(mailbox_id="m"))
    put, append = spans.named("commit")
    assert attributes(put)["db.operation.name"] == "PutDocument"
    assert attributes(put)["db.collection.name"] == "notes"
    assert attributes(put)["db.system.name"] == "treadle"
    assert attributes(append)["treadle.thread.id"] == "none"
    assert attributes(append)["error.type"] == "treadle.errors.NotFound"
    assert append.status.status_code is StatusCode.ERROR
    assert attributes(spans.one("documents.load"))["db.collection.name"] == "notes"
    assert spans.all() == ["commit", "documents.load", "commit", "read"]


async def test_what_a_batch_sends_has_the_context_of_the_batch(store: Store, spans: Spans) -> None:
    await store.threads.create(Thread(id="t"))
    async with store.batch() as step:
        step.threads.append("t", Message.user("hi"))
        sent = step.mailboxes.send("m", 1)
    batch = spans.named("commit")[-1]
    assert attributes(batch)["db.operation.batch.size"] == 2
    context = context_of(batch)
    identity = f"00-{context.trace_id:032x}-{context.span_id:016x}-"
    assert sent.result.entry.headers["traceparent"].startswith(identity)


async def test_headers_of_the_caller_stay(store: Store, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("request"):
        await store.mailboxes.send("m", 1, headers={"traceparent": "mine"})
        many = {f"h{number}": "x" for number in range(32)}
        sent = await store.mailboxes.send("m", 2, headers=many)
        with pytest.raises(InvalidValue, match="headers"):
            await store.mailboxes.send("m", 3, headers=many | {"one": "more"})
    assert sent.entry.headers == many
    first, _ = (await store.mailboxes.list_entries(mailbox_id="m")).items
    assert first.headers == {"traceparent": "mine"}


async def test_a_context_that_is_too_large_for_headers_is_no_reason_not_to_send(
    store: Store, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inject(carrier: dict[str, str]) -> None:
        carrier |= {"traceparent": "fits", "baggage": "x" * 8_193, "n" * 101: "x"}

    monkeypatch.setattr(propagate, "inject", inject)
    sent = await store.mailboxes.send("m", 1)
    assert sent.entry.headers == {"traceparent": "fits"}


async def test_commits_that_the_store_refuses_are_refused_as_before(
    store: Store, spans: Spans
) -> None:
    with pytest.raises(InvalidValue):
        await store.commit("no commands")  # type: ignore[arg-type]
    commands = (
        Send(entry_id="e", mailbox_id="m", payload=1),
        DeleteThread(thread_id="t", expected=1),
    )
    with pytest.raises(NotFound):
        await store.commit(commands)
    assert len(spans.named("commit")) == 2


async def test_a_failed_attempt_is_an_error(store: Store, spans: Spans) -> None:
    seen: list[Event] = []

    async def handler(delivery: Delivery) -> None:
        if delivery.entry.attempt_count == 1:
            raise ZeroDivisionError("boom")
        raise Reject("never")

    await store.mailboxes.send("m", 1)
    hook = TracedEvents(seen.append, tracer_provider=spans.provider)
    worker = Worker(store, handler, on_event=hook, backoff=Backoff(base_ms=1))
    await worker.run(until_idle=True)
    first, second = spans.named("process")
    assert attributes(first)["error.type"] == "ZeroDivisionError"
    assert attributes(first)["treadle.outcome"] == "retried"
    assert first.status.status_code is StatusCode.ERROR
    assert [event.name for event in first.events] == ["exception"]
    assert attributes(second)["treadle.outcome"] == "dead_letter"
    assert [type(event).__name__ for event in seen] == [
        "Claimed",
        "Retried",
        "Claimed",
        "DeadLettered",
    ]


async def test_a_span_ends_though_a_further_hook_fails(store: Store, spans: Spans) -> None:
    def fail(_: Event) -> None:
        raise ZeroDivisionError

    async def handler(_: Delivery) -> None:
        pass

    await store.mailboxes.send("m", 1)
    hook = TracedEvents(fail, tracer_provider=spans.provider)
    await Worker(store, handler, on_event=hook).run(until_idle=True)
    assert attributes(spans.one("process"))["treadle.outcome"] == "accepted"


async def test_entries_that_a_handler_takes_are_linked_to_its_delivery(
    store: Store, spans: Spans
) -> None:
    async def handler(delivery: Delivery) -> None:
        if delivery.entry.payload == 1:
            await delivery.take(1)
            current = trace.get_current_span().get_span_context()
            traces.append((current.trace_id, current.span_id))

    traces: list[tuple[int, int]] = []
    await store.mailboxes.send("m", 1)
    await store.mailboxes.send("m", 2)
    worker = Worker(store, handler, on_event=TracedEvents(tracer_provider=spans.provider))
    await worker.run(until_idle=True)
    by_id = {attributes(span)["messaging.message.id"]: span for span in spans.named("process")}
    first, second = sorted(by_id.values(), key=lambda span: span.start_time or 0)
    context = context_of(first)
    assert traces == [(context.trace_id, context.span_id)]
    assert [link.context.span_id for link in second.links] == [context.span_id]


async def test_the_polls_of_a_worker_are_not_traced(store: Store, spans: Spans) -> None:
    async def handler(delivery: Delivery) -> None:
        """Wait until the lease was renewed."""
        claimed = delivery.entry
        now: MailboxEntry | None = claimed
        while now is not None and now.lease_until == claimed.lease_until:
            await asyncio.sleep(0.01)
            now = await store._backend.read(LoadEntry(entry_id=claimed.entry_id))

    await store.mailboxes.send("m", 1)
    hook = TracedEvents(tracer_provider=spans.provider)
    await Worker(store, handler, on_event=hook, lease_ms=3_000).run(until_idle=True)
    assert set(spans.all()) <= {"send", "process", "commit", "mailboxes.search_entries"}
    assert len(spans.named("commit")) == 1


def test_calls_of_a_blocking_store_are_below_the_callers_span() -> None:
    spans = Spans()
    end = trace_stores(spans.provider)
    with open_store("memory:") as store, spans.tracer.start_as_current_span("request"):
        store.mailboxes.send("m", 1)
        end()
        store.mailboxes.send("m", 2)
    assert is_below(spans.one("send"), spans.one("request"))
    assert treadle.Store.commit.__qualname__ == "Store.commit"
    assert not hasattr(treadle.Store.commit, "__wrapped__")
