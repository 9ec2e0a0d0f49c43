"""OpenTelemetry: spans of stores and workers. It needs `treadle[opentelemetry]`.

`trace_stores()` gives each call of a store a span, and entries that are sent the context of theirs,
in their headers, those of requested runs and of answers too.
`Worker(..., on_event=TracedEvents())` gives each delivery a span, whose parent is the span in which
the entry was sent; what the handler does is below it::

    trace_stores()
    worker = Worker(store, handler, on_event=TracedEvents())

Attributes are those of OpenTelemetry's conventions for databases and messaging, and
`treadle.thread.id`, `treadle.run.id`, `treadle.mailbox.id`, `treadle.entry.id`, `treadle.attempt`
and `treadle.outcome`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, cast

import msgspec

import treadle
from treadle import MailboxEntry, RunRequest
from treadle.commands import Command, ExtendLease, Send
from treadle.core.limits import HEADER_NAME, HEADER_VALUE, HEADERS
from treadle.integrations._requirements import requires
from treadle.integrations._store_calls import observe_calls
from treadle.queries import LoadClaims
from treadle.worker import (
    Claimed,
    DeadLettered,
    Done,
    Event,
    LeaseLost,
    OnEvent,
    Released,
    Retried,
    Withdrawn,
    log_events,
)
from treadle.worker.own_calls import is_own_call

with requires("treadle[opentelemetry]"):
    from opentelemetry import context as contexts
    from opentelemetry import propagate, trace
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

__all__ = ["TracedEvents", "trace_stores"]

_POLLS = {"mailboxes.claim", "mailboxes.claim_entry", "mailboxes.load_claims"}
"""Calls that workers repeat: a span for each would bury the others."""

_REQUESTS = {"runs.request", "runs.answer"}
"""Calls that send an entry, and take its headers."""

_IDS = {
    "thread_id": "treadle.thread.id",
    "run_id": "treadle.run.id",
    "mailbox_id": "treadle.mailbox.id",
    "entry_id": "treadle.entry.id",
    "collection": "db.collection.name",
}
"""Arguments, and fields of commands, that become attributes."""

_DELIVERY = contexts.create_key("treadle-delivery")
"""In a context: the span of the delivery whose handler runs."""


def trace_stores(tracer_provider: trace.TracerProvider | None = None) -> Callable[[], None]:
    """Trace the calls of all stores of this process, and return a function that ends it.

    A write, or a batch, is one span; so is a read. What workers call for themselves has none:
    claims, renewals, and looks at what waits. What a call sends without a context in its headers
    gets that of the span.

    Args:
        tracer_provider: where spans go; the default is the global provider.
    """
    return observe_calls(partial(_traced, _tracer(tracer_provider)))


class TracedEvents:
    """A hook of a worker that traces its deliveries: `Worker(..., on_event=TracedEvents())`.

    A delivery is a span "process" from the claim of its entry to its end, which is current while
    the handler runs. It is an error if the attempt failed or the lease was lost.

    Args:
        also: another hook, which gets every event too, within the span.
        tracer_provider: where spans go; the default is the global provider.
    """

    def __init__(
        self,
        also: OnEvent = log_events,
        *,
        tracer_provider: trace.TracerProvider | None = None,
    ) -> None:
        self._also = also
        self._tracer = _tracer(tracer_provider)
        self._spans: dict[tuple[str, str | None], Span] = {}

    def __call__(self, event: Event) -> None:
        """Begin or end the span that an event is about."""
        if isinstance(event, Claimed):
            self._begin(event.entry)
        try:
            with self._within(event):
                self._also(event)
        finally:
            self._end_if_over(event)

    def _within(self, event: Event) -> AbstractContextManager[object]:
        """Return a context in which the span of an event is the current one, if it has one."""
        entry = getattr(event, "entry", None)
        if not isinstance(entry, MailboxEntry):
            return nullcontext()
        span = self._spans.get((entry.entry_id, entry.claim_token))
        if span is None:
            return nullcontext()
        return trace.use_span(span, record_exception=False, set_status_on_exception=False)

    def _end_if_over(self, event: Event) -> None:
        match event:
            case Done():
                self._end(event.entry, "accepted")
            case Released():
                self._end(event.entry, "released")
            case Withdrawn(status=status):
                self._end(event.entry, status)
            case Retried(error=error, exception=exception):
                self._end(event.entry, "retried", error, exception)
            case DeadLettered(error=error, exception=exception):
                self._end(event.entry, "dead_letter", error, exception)
            case LeaseLost(reason=reason):
                self._end(event.entry, "lease_lost", reason)
            case _:
                pass

    def _begin(self, entry: MailboxEntry) -> None:
        delivery = contexts.get_value(_DELIVERY)
        span = self._tracer.start_span(
            "process",
            context=propagate.extract(entry.headers),
            kind=SpanKind.CONSUMER,
            attributes={
                **_messaging("process", entry.mailbox_id),
                "messaging.message.id": entry.entry_id,
                "treadle.attempt": entry.attempt_count,
            },
            links=[Link(delivery.get_span_context())] if isinstance(delivery, Span) else [],
        )
        self._spans[entry.entry_id, entry.claim_token] = span
        if delivery is None:
            # The hook runs in the context of the delivery, which the handler inherits, and which
            # ends with it. An entry that a handler takes is part of its delivery.
            contexts.attach(contexts.set_value(_DELIVERY, span, trace.set_span_in_context(span)))

    def _end(
        self,
        entry: MailboxEntry,
        outcome: str,
        error: str | None = None,
        exception: BaseException | None = None,
    ) -> None:
        span = self._spans.pop((entry.entry_id, entry.claim_token), None)
        if span is None:
            return
        span.set_attribute("treadle.outcome", outcome)
        if exception is not None:
            span.record_exception(exception)
        if error is not None:
            span.set_attribute("error.type", _error_type(exception) if exception else outcome)
            span.set_status(Status(StatusCode.ERROR, error))
        span.end()


@contextmanager
def _traced(
    tracer: trace.Tracer, operation: str, arguments: dict[str, Any]
) -> Generator[None, None, None]:
    if is_own_call() or operation in _POLLS or _repeats(arguments):
        yield
        return
    commands = _commands(arguments.get("batch"))
    sends = operation in _REQUESTS or (bool(commands) and _all(commands, Send))
    with tracer.start_as_current_span(
        "send" if sends else operation,
        context=_sender_context(arguments, commands) if sends else None,
        kind=SpanKind.PRODUCER if sends else SpanKind.CLIENT,
        attributes=_attributes(operation, arguments, commands),
    ) as span:
        if commands:
            arguments["batch"] = tuple(map(_with_context, commands))
        if operation in _REQUESTS:
            arguments["headers"] = _headers_with_context(arguments.get("headers"))
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", _error_type(error))
            raise


def _repeats(arguments: dict[str, Any]) -> bool:
    """Return True for renewals of leases, and for reads that only ask who has claimed what."""
    commands = _commands(arguments.get("batch"))
    queries = arguments.get("queries", ())
    return bool(
        (commands and _all(commands, ExtendLease)) or (queries and _all(queries, LoadClaims))
    )


def _commands(batch: object) -> Sequence[Command[Any]]:
    """Return the commands of a commit; none if the store will refuse them."""
    if isinstance(batch, Sequence) and _all(batch, Command):
        return batch
    return ()


def _all(commands: Sequence[object], kind: type) -> bool:
    return all(isinstance(command, kind) for command in commands)


def _sender_context(
    arguments: dict[str, Any], commands: Sequence[Command[Any]]
) -> contexts.Context | None:
    """Return the context that the headers of what is sent have, if no span is current.

    So a request over HTTP that brings its context is sent in its trace, even if nothing else traces
    the server.
    """
    if trace.get_current_span().get_span_context().is_valid:
        return None
    given = [each.headers for each in commands if isinstance(each, Send)]
    headers = given[0] if len(given) == 1 else arguments.get("headers")
    return propagate.extract(headers) if isinstance(headers, Mapping) else None


def _attributes(
    operation: str, arguments: dict[str, Any], commands: Sequence[Command[Any]]
) -> dict[str, Any]:
    attributes: dict[str, Any] = {"db.system.name": "treadle", "db.operation.name": operation}
    names = [type(command).__name__ for command in commands]
    if len(set(names)) == 1:
        attributes["db.operation.name"] = names[0]
    if len(names) > 1:
        attributes |= {"db.operation.batch.size": len(names), "treadle.commands": names}
    wanted = arguments.get("request") if operation in _REQUESTS else None
    if isinstance(wanted, RunRequest):
        arguments = {"thread_id": wanted.thread_id, "run_id": wanted.run_id}
    for name, attribute in _IDS.items():
        about = [getattr(each, name, None) for each in commands] or [arguments.get(name)]
        values = {value for value in about if isinstance(value, str)}
        if len(values) == 1:
            attributes[attribute] = values.pop()
    if commands and _all(commands, Send):
        attributes |= _messaging("send", attributes.get("treadle.mailbox.id"))
        if len(commands) > 1:
            attributes["messaging.batch.message_count"] = len(commands)
    if operation in _REQUESTS:
        attributes |= _messaging("send", attributes.get("treadle.thread.id"))
    return attributes


def _messaging(operation: str, mailbox_id: str | None) -> dict[str, str]:
    attributes = {
        "messaging.system": "treadle",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    if mailbox_id is not None:
        attributes |= {"messaging.destination.name": mailbox_id, "treadle.mailbox.id": mailbox_id}
    return attributes


def _with_context(command: Command[Any]) -> Command[Any]:
    """Return a command that sends the present context, if it sends anything."""
    if not isinstance(command, Send):
        return command
    headers = _headers_with_context(command.headers)
    return msgspec.structs.replace(command, headers=headers)


def _headers_with_context(given: Any) -> Any:
    """Return headers with the present context, unless they have another, or no room.

    What the caller has given stays, unless it is of the trace to which the span belongs.
    """
    if given is not None and not isinstance(given, Mapping):
        return given  # the store refuses it
    known = cast("Mapping[str, str]", given or {})
    injected: dict[str, str] = {}
    propagate.inject(injected)
    # Without what no header can hold, such as a baggage without limits: the store would refuse it.
    carrier = {
        name: value
        for name, value in injected.items()
        if len(name) <= HEADER_NAME and len(value) <= HEADER_VALUE
    }
    if carrier.keys() & known.keys() and not _is_of_this_trace(known):
        return known
    headers = {**known, **carrier}
    return known if len(headers) > HEADERS else headers


def _is_of_this_trace(headers: Mapping[str, str]) -> bool:
    given = trace.get_current_span(propagate.extract(headers)).get_span_context()
    return given.trace_id == trace.get_current_span().get_span_context().trace_id


def _error_type(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _tracer(provider: trace.TracerProvider | None) -> trace.Tracer:
    return trace.get_tracer("treadle", treadle.__version__, provider)
