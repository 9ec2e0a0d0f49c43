"""Noticing that a claim is lost, in milliseconds: the store says what changes, in any process."""

import asyncio
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from treadle.core.hints import Hint
from treadle.core.mailbox_queries import CLAIMS, LoadClaims
from treadle.store.store import changes_together
from treadle.worker._clock import sleep, timeout
from treadle.worker._events import Outage
from treadle.worker._lease import Lease
from treadle.worker._outcomes import Settler
from treadle.worker._settings import RunContext
from treadle.worker.backoff import OUTAGE_BACKOFF, TRANSIENT

_PAUSE_S = 0.01
"""The time from a hint to the look at the claims. A short handler ends in it, and is not looked at.

It is real time, as are the next two: they spare the store, and follow no schedule.
"""

_SHARE = 9
"""How many times as long as the last look the pause before the next one is at least."""

_LONGEST_PAUSE_S = 1.0


class Watcher:
    """Looks whether the claims that `list_leases` returns are still held, after each hint.

    All claims of hinted mailboxes are looked at in one read, however many hints there were.
    """

    def __init__(
        self, context: RunContext, settler: Settler, list_leases: Callable[[], Sequence[Lease]]
    ) -> None:
        self._context = context
        self._settler = settler
        self._list_leases = list_leases
        self._hinted: set[str] = set()
        """The mailboxes that may have changed since the last look."""
        self._is_all_hinted = False
        self._news = asyncio.Event()
        self._readers: dict[str, set[asyncio.Event]] = {}
        """Those who want to know when a mailbox may have changed."""

    def add(self, lease: Lease) -> None:
        """Look at a new claim, too: what ended it may have been hinted before we knew of it."""
        self._hinted.add(lease.entry.mailbox_id)
        self._news.set()

    @contextmanager
    def telling(self, mailbox_id: str, news: asyncio.Event) -> Generator[None]:
        """Set `news` when the mailbox may have changed, within the block."""
        readers = self._readers.setdefault(mailbox_id, set())
        readers.add(news)
        try:
            yield
        finally:
            readers.discard(news)
            if not readers:
                self._readers.pop(mailbox_id, None)

    async def listen(self) -> None:
        """Take in hints until cancelled, or until the store is closed."""
        failures = 0
        while True:
            try:
                async for hints in changes_together(
                    self._context.store, mailbox_id=self._context.settings.mailbox_id
                ):
                    failures = 0
                    for hint in hints:
                        self._note(hint)
                return
            except TRANSIENT as error:
                failures += 1
                await self._rest(error, failures)

    def _note(self, hint: Hint) -> None:
        match hint.kind:
            case "mailbox" if hint.id is not None:
                self._hinted.add(hint.id)
                if self._readers:
                    _tell(self._readers.get(hint.id, ()))
            case "anything":
                self._is_all_hinted = True
                for readers in self._readers.values():
                    _tell(readers)
            case _:
                return
        self._news.set()

    async def look(self) -> None:
        """Look at the claims after hints, until cancelled.

        Raises:
            StoreClosed: the store was closed under the worker.
        """
        rested_at = 0.0
        while True:
            await self._news.wait()
            await asyncio.sleep(max(rested_at - time.monotonic(), _PAUSE_S))
            began = time.monotonic()
            await self._look()
            ended = time.monotonic()
            rested_at = ended + min(_SHARE * (ended - began), _LONGEST_PAUSE_S)

    async def _look(self) -> None:
        failures = 0
        while leases := self._take_hinted():
            try:
                await self._check(leases)
                return
            except TRANSIENT as error:
                self._hinted.update(lease.entry.mailbox_id for lease in leases)
                failures += 1
                await self._rest(error, failures)

    def _take_hinted(self) -> Sequence[Lease]:
        """Return the claims to look at, and forget the hints."""
        hinted, self._hinted = self._hinted, set()
        is_all_hinted, self._is_all_hinted = self._is_all_hinted, False
        self._news.clear()
        looked_at: list[Lease] = []
        for lease in self._list_leases():
            mailbox_id = lease.entry.mailbox_id
            if not lease.is_open or not (is_all_hinted or mailbox_id in hinted):
                continue
            if lease.is_settling:  # the write will tell, unless it fails for a reason of its own
                self._hinted.add(mailbox_id)
            else:
                looked_at.append(lease)
        return looked_at

    async def _check(self, leases: Sequence[Lease]) -> None:
        ids = [lease.entry_id for lease in leases]
        queries = [
            LoadClaims(entry_ids=tuple(ids[first : first + CLAIMS]))
            for first in range(0, len(ids), CLAIMS)
        ]
        async with timeout(self._context.clock, self._context.settings.lease_s):
            answers = await self._context.store.read(*queries)
        claims = [claim for answer in answers for claim in answer]
        lost = [
            lease
            for lease, claim in zip(leases, claims, strict=True)
            if not (claim and claim.claim_token == lease.claim_token)
            and lease.is_open
            and not lease.is_settling
        ]
        await asyncio.gather(*map(self._settler.explain, lost))

    async def _rest(self, error: Exception, failures: int) -> None:
        pause_ms = OUTAGE_BACKOFF.pause_ms(failures, self._context.random)
        self._context.emit(Outage(operation="watch", error=error, retry_in_ms=pause_ms))
        await sleep(self._context.clock, pause_ms / 1000)


def _tell(readers: Iterable[asyncio.Event]) -> None:
    for news in readers:
        news.set()
