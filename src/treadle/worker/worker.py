"""The worker: claims entries, runs a handler on them, and sees each to its outcome."""

from contextlib import nullcontext

from treadle.backends.cancellation import shielded
from treadle.errors import InvalidValue
from treadle.store.store import Store
from treadle.worker.backoff import Backoff
from treadle.worker.events import OnEvent, guarded, log_events
from treadle.worker.executor import Handler
from treadle.worker.session import Session
from treadle.worker.settings import Settings, new_consumer
from treadle.worker.signals import stop_on_signals


class Worker:
    """Works a store's mailboxes: `await Worker(store, handler).run()`.

    The handler gets a `Delivery`. If it returns, the entry is done; if it raises, the entry is
    tried again after `backoff`, until its claims number `max_attempts`, and is then a dead letter
    (at once if it raises `Reject`). It may run more than once for an entry, but what it commits
    through `delivery.batch()` takes effect once: a handler whose lease is lost, or whose mailbox is
    interrupted, is cancelled and can write nothing more.

    Entries of one mailbox are worked one at a time, so a mailbox never takes more than one of the
    slots; among mailboxes the longest due comes first. An entry that waits to be tried again does
    not keep back those behind it: where their order matters more, try again within the handler.

    Args:
        store: an open store. The worker does not close it.
        handler: an async function, or a plain one, which runs in a thread.
        concurrency: how many entries are worked at a time, at least 1.
        lease_ms: how long a claim outlives its worker, in milliseconds, at least 1; it is renewed
            every third of it. An interrupt is noticed at a renewal.
        max_attempts: how many claims an entry gets, at least 1. A clean stop gives its claims back.
        backoff: how long a failed entry waits.
        consumer: the worker's name in `claimed_by`; by default host, process and a random part.
        mailbox_id: work this mailbox only.
        grace_ms: how many milliseconds running handlers may go on after `stop`, before they are
            cancelled and their entries given back; 0 or more.
        purge_after_ms: remove entries, of all mailboxes, so many milliseconds after their end, 0
            or more; their dedupe keys are forgotten with them. None: never.
        on_event: receives every event, on the event loop. What it raises is logged.

    Raises:
        InvalidValue, InvalidId: an argument is out of its range.
    """

    def __init__(  # noqa: PLR0913
        self,
        store: Store,
        handler: Handler,
        *,
        concurrency: int = 8,
        lease_ms: int = 30_000,
        max_attempts: int = 10,
        backoff: Backoff = Backoff(),  # noqa: B008
        consumer: str | None = None,
        mailbox_id: str | None = None,
        grace_ms: int = 10_000,
        purge_after_ms: int | None = None,
        on_event: OnEvent = log_events,
    ) -> None:
        _check_kinds(store, handler)
        self._store = store
        self._handler = handler
        self._settings = Settings(
            concurrency=concurrency,
            lease_ms=lease_ms,
            max_attempts=max_attempts,
            backoff=backoff,
            consumer=new_consumer() if consumer is None else consumer,
            mailbox_id=mailbox_id,
            grace_ms=grace_ms,
            purge_after_ms=purge_after_ms,
        )
        self._emit = guarded(on_event)
        self._session: Session | None = None
        self._is_stopping = False

    @property
    def consumer(self) -> str:
        """The worker's name, as entries have it in `claimed_by`."""
        return self._settings.consumer

    async def run(self, *, until_idle: bool = False, handle_signals: bool = False) -> None:
        """Work until `stop` is called or the task is cancelled; both end it in good order.

        Claiming ends first. Running handlers go on for `grace_ms`, with their leases renewed; then
        they are cancelled and their entries released. A handler in a thread gets a second more to
        notice, then its entry is released without it. If the store is away meanwhile, the last
        writes are tried until the lease ends.

        With `until_idle` it also ends once the store (the mailbox, with `mailbox_id`) has no entry
        that is queued or claimed: nothing due, nothing scheduled for later, no retry pending, and
        nothing in the hands of other workers either. With `handle_signals` the first SIGTERM or
        SIGINT stops the worker; that works on the main thread only.

        Raises:
            RuntimeError: the worker is running already.
            StoreClosed: the store is not open, or was closed under the worker.
            ValueError: with `handle_signals`, this is not the main thread.
        """
        if self._session is not None:
            raise RuntimeError("this worker is running already; make another one")
        session = Session(self._store, self._handler, self._settings, self._emit)
        self._session = session
        try:
            if self._is_stopping:
                return
            with stop_on_signals(self.stop) if handle_signals else nullcontext():
                await shielded(session.run(until_idle=until_idle), on_cancel=session.stop)
        finally:
            self._session = None
            self._is_stopping = False

    def stop(self) -> None:
        """Begin a clean stop; `run` returns when it is complete.

        May be called from any thread and from a signal handler, and more than once. Before `run`
        it makes `run` return at once.
        """
        self._is_stopping = True
        session = self._session
        if session is not None:
            session.stop_soon()


def _check_kinds(store: object, handler: object) -> None:
    if not isinstance(store, Store):
        reason = f"it must be a store that `treadle.open_store` made, not a {type(store).__name__}"
        raise InvalidValue("store", reason)
    if not callable(handler):
        reason = f"it must be a function that takes a delivery, not a {type(handler).__name__}"
        raise InvalidValue("handler", reason)
