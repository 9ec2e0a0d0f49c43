"""The events of `treadle work --json`: one JSON object a line."""

import os
import re
from collections.abc import Callable

import click
import msgspec

from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.output import write_bytes
from treadle.clock import system_clock
from treadle.core.codec import Json
from treadle.core.escaping import harmless_json
from treadle.worker import Event, Outage, Purged, log_events

_FIELDS = ("lasted_ms", "error", "retry_at", "reason", "status")
"""What some of the events about an entry have."""


class EventLines:
    """A hook that logs events, and writes each to standard output.

    If that cannot be written any longer, it stops the worker: nobody hears what it does.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], None] = _do_nothing
        """Called when standard output cannot be written."""
        self._failure: Exception | None = None

    def __call__(self, event: Event) -> None:
        """Write an event; this is called on the event loop."""
        log_events(event)
        if self._failure is not None:
            return
        try:
            write_bytes(harmless_json(msgspec.json.encode(plain_event(event))) + b"\n")
        except (click.exceptions.Exit, Failure) as failure:
            self._failure = failure
            self.stop()

    def require_written(self) -> None:
        """Raise what happened to standard output, if anything did.

        Raises:
            Failure: there is no room, or it is closed.
            Exit: its reader has gone.
        """
        if self._failure is not None:
            raise self._failure


def plain_event(event: Event) -> dict[str, Json]:
    """Return an event as it is written; times are in unix milliseconds."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    line: dict[str, Json] = {"event": kind, "time": system_clock(), "process": os.getpid()}
    match event:
        case Purged():
            about: dict[str, Json] = {
                "entries": event.count,
                "documents": event.documents,
                "ended_before": event.ended_before,
            }
        case Outage():
            error = f"{type(event.error).__name__}: {event.error}"
            about = {
                "operation": event.operation,
                "error": error.encode("utf-8", "backslashreplace").decode(),
                "retry_in_ms": event.retry_in_ms,
            }
        case _:
            entry = event.entry
            about = {
                "entry_id": entry.entry_id,
                "mailbox_id": entry.mailbox_id,
                "attempt": entry.attempt_count,
                **{name: getattr(event, name) for name in _FIELDS if hasattr(event, name)},
            }
    return line | about


def _do_nothing() -> None:
    pass
