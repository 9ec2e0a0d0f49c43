"""The record of a turn's run: when it begins, what it has used, and how it ends with the claim."""

import asyncio
import logging

from msgspec.structs import replace

from treadle.core.limits import LARGEST_COUNT
from treadle.core.run_commands import CountTokens, UpsertRun
from treadle.core.run_requests import RunRequest, record_of
from treadle.core.runs import RunRecord
from treadle.errors import ClaimConflict, InvalidValue
from treadle.worker._delivery import Delivery, commit_held, leases_of
from treadle.worker.backoff import TRANSIENT

_LOGGER = logging.getLogger("treadle.worker")


class TurnRecord:
    """Begins the record of a run, counts its tokens, and lets both end with the claim.

    A run that is "running" when its entry is accepted is done, even if the handler wrote it.
    """

    def __init__(self, delivery: Delivery, request: RunRequest) -> None:
        self._delivery = delivery
        self._request = request
        self._beginning = asyncio.Lock()
        self._is_begun = False
        self._earlier = (0, 0)
        """The tokens of earlier attempts, once they are known."""
        self._used = (0, 0)
        """The tokens of this attempt."""
        self._prepare_end()

    @property
    def tokens(self) -> tuple[int, int]:
        """What the run has read and written so far, in all attempts that are known of."""
        (read, written), (read_now, written_now) = self._earlier, self._used
        return read + read_now, written + written_now

    async def begin(self) -> None:
        """Write the record, unless it is there; one that an earlier attempt has ended begins again.

        Raises:
            ClaimConflict, TimeoutError, TreadleError: as for a batch of the delivery.
        """
        async with self._beginning:
            if self._is_begun:
                return
            request = self._request
            known = await self._delivery.store.runs.load(request.run_id)
            if known is not None and known.thread_id != request.thread_id:
                return  # another thread's: `Runs.request` would have refused it
            begun = self._begun(known)
            if begun != known:
                await commit_held(self._delivery, (UpsertRun(run=begun),))
            self._earlier = (begun.input_tokens, begun.output_tokens)
            self._is_begun = True
            self._prepare_end()

    async def show(self) -> None:
        """Begin with the first piece that is shown, which must not fail for it."""
        if self._is_begun or self._delivery.settled:
            return
        try:
            await self.begin()
        except ClaimConflict:
            pass  # the handler is about to be stopped
        except TRANSIENT as error:
            message = "run %r has no record before its first commit: %s"
            _LOGGER.warning(message, self._request.run_id, error)

    def count(self, input_tokens: int, output_tokens: int) -> None:
        """Add tokens to what this attempt has used.

        Raises:
            InvalidValue: a number is not an integer, negative, or too large.
        """
        read, written = self.tokens
        _check("count_tokens.input_tokens", read, input_tokens)
        _check("count_tokens.output_tokens", written, output_tokens)
        self._used = (self._used[0] + input_tokens, self._used[1] + output_tokens)
        self._prepare_end()

    def _begun(self, known: RunRecord | None) -> RunRecord:
        request, entry_id = self._request, self._delivery.entry.entry_id
        if known is None:
            return record_of(request, entry_id)
        if known.status == "done":
            return replace(
                known,
                status="running",
                termination_code=None,
                termination_detail=None,
                source_mailbox_entry_id=entry_id,
                updated_at=0,
            )
        if known.source_mailbox_entry_id is None:
            return replace(known, source_mailbox_entry_id=entry_id, updated_at=0)
        return known

    def _first(self) -> RunRecord:
        """The record that is written with the tokens, if nothing has begun the run."""
        return record_of(self._request, self._delivery.entry.entry_id)

    def _prepare_end(self) -> None:
        """Set what is committed together with whatever ends the claim, and after its loss."""
        lease = leases_of(self._delivery)[0]
        read, written = self.tokens
        counted = CountTokens(
            run_id=self._request.run_id,
            thread_id=self._request.thread_id,
            input_tokens=read,
            output_tokens=written,
            first=self._first() if any(self._used) else None,
        )
        lease.with_end = (counted,) if any(self._used) else ()
        # an accepted entry is never worked on again, so a run that is still "running" has ended
        lease.with_ack = (replace(counted, ends_run=True),)


def _check(where: str, before: int, more: object) -> None:
    if type(more) is not int or more < 0:
        raise InvalidValue(where, "it must be an integer, and not negative")
    if before + more > LARGEST_COUNT:
        raise InvalidValue(where, "the sum is larger than a run can have")
