"""Working what is due, for the tests of handlers."""

from treadle.store.store import Store
from treadle.testing.clock import ManualClock
from treadle.worker import Claimed, Event, Handler, Retried, Worker, log_events


async def work(
    store: Store,
    handler: Handler,
    clock: ManualClock,
    *,
    mailbox_id: str | None = None,
    mailbox_prefix: str | tuple[str, ...] | None = None,
    except_prefix: str | tuple[str, ...] = (),
    max_attempts: int = 10,
    coalesce: int = 1,
    concurrency: int = 8,
) -> list[Event]:
    """Work all entries that are due, and their retries, and return the events of the worker.

    The clock moves to the time of each retry, so that nothing waits. It is left there. Entries that
    the handler sends are worked, too. What is scheduled for later, paused or held by another worker
    stays: set `clock.now` or change that, and call this again. Events are also logged, as by a
    worker.

    Args:
        store: an open store whose clock is `clock`. On PostgreSQL the database has its own, so that
            retries are left as they are.
        handler: what is tested.
        clock: the clock of the store.
        mailbox_id: work this mailbox only, so that what the handler sends to others stays.
        mailbox_prefix: as for `Worker`.
        except_prefix: as for `Worker`.
        max_attempts: as for `Worker`.
        coalesce: as for `Worker`.
        concurrency: as for `Worker`; 1 works one entry after the other.

    Raises:
        InvalidValue, InvalidId: an argument is one that `Worker` refuses.
        StoreClosed: the store is not open.
    """
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        log_events(event)

    worker = Worker(
        store,
        handler,
        mailbox_id=mailbox_id,
        mailbox_prefix=mailbox_prefix,
        except_prefix=except_prefix,
        max_attempts=max_attempts,
        coalesce=coalesce,
        concurrency=concurrency,
        on_event=note,
        clock=clock,
    )
    while True:
        await worker.run(while_due=True)
        later = [time for time in _retries(events) if time > clock.now]
        if not later:
            return events
        clock.now = min(later)


def _retries(events: list[Event]) -> list[int]:
    """Return when the entries are due that were not claimed again since they failed."""
    times: dict[str, int] = {}
    for event in events:
        match event:
            case Retried():
                times[event.entry.entry_id] = event.retry_at
            case Claimed():
                times.pop(event.entry.entry_id, None)
            case _:
                pass
    return list(times.values())
