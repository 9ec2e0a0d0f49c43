"""Operations of workers: claim entries, wait for them, extend and settle the claims."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Annotated, TypeAlias, cast

from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from treadle.core.claims import Ack, DeadLetter, ExtendLease, Nack, Release
from treadle.core.codec import Model
from treadle.core.id_ranges import PREFIXES
from treadle.core.ids import MailboxId
from treadle.core.limits import Bound, Time
from treadle.core.mailboxes import MailboxEntry
from treadle.errors import TreadleError
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.http._handlers import commit, write
from treadle.http._input import Fields
from treadle.http._operation import Operation
from treadle.http._output import answer
from treadle.http._owners import ALL
from treadle.store.store import Store

_log = logging.getLogger("treadle.http")

Prefixes: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=PREFIXES)
]
"""What the ids of mailboxes begin with."""
WaitTime: TypeAlias = Annotated[int, Meta(ge=0, le=30_000)]
"""How long a claim may wait, in milliseconds."""


class NewClaim(Fields, frozen=True, kw_only=True):
    """Which entries are claimed, by whom, and for how long."""

    consumer: str
    """Your name, for `claimed_by`."""
    limit: Bound = 1
    """How many at most, each of another mailbox."""
    lease_ms: Time = 30_000
    """For how long nobody else can claim them."""
    mailbox_id: MailboxId | None = None
    """Only from this mailbox."""
    mailbox_prefix: Annotated[Prefixes, Meta(min_length=1)] | None = None
    """Only from mailboxes whose ids begin with one of these."""
    except_prefix: Prefixes = ()
    """From no mailbox whose id begins with one of these."""
    wait_ms: WaitTime = 0
    """For how long to wait if nothing is due."""


class NewHold(Fields, frozen=True, kw_only=True):
    """By whom an entry is claimed, and for how long."""

    consumer: str
    lease_ms: Time = 30_000


class NewTake(Fields, frozen=True, kw_only=True):
    """Which further entries the holder of a claim takes."""

    claim_token: str
    limit: Bound = 1
    """How many at most."""


class Held(Model, frozen=True, kw_only=True):
    """Whether a claim is still held."""

    held: bool


async def _claim(call: Call) -> Response:
    body = cast("NewClaim", call.body)
    entries = await _claim_in_time(call, body)
    if entries and await call.request.is_disconnected():
        await _release(call.store, entries)
        raise ClientDisconnect
    return answer(call, entries, with_tokens=True)


async def _release(store: Store, entries: Sequence[MailboxEntry]) -> None:
    """Release each entry by itself: one that cannot be released leaves no other claimed."""
    for entry in entries:
        try:
            await store.mailboxes.release(entry)
        except TreadleError as error:
            _log.warning("an entry whose client has gone was not released: %s", error)


async def _claim_in_time(call: Call, body: NewClaim) -> tuple[MailboxEntry, ...]:
    loop = asyncio.get_running_loop()
    end = loop.time() + body.wait_ms / 1000
    while True:
        entries = await call.store.mailboxes.claim(
            body.limit,
            consumer=body.consumer,
            lease_ms=body.lease_ms,
            mailbox_id=body.mailbox_id,
            mailbox_prefix=body.mailbox_prefix,
            except_prefix=body.except_prefix,
        )
        left = end - loop.time()
        if entries or left <= 0 or call.streams.are_ended:
            return entries
        stopping = asyncio.Event()
        with call.streams.ended_by(stopping.set):
            await _first(
                call.store.mailboxes.wait(
                    int(left * 1000) + 1,
                    mailbox_id=body.mailbox_id,
                    mailbox_prefix=body.mailbox_prefix,
                    except_prefix=body.except_prefix,
                ),
                _gone(call.request),
                stopping.wait(),
            )


async def _first(*waits: Awaitable[object]) -> None:
    """Wait for the first of several, and raise its error."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _gone(request: Request) -> None:
    """Wait until the client has gone, so that nothing is claimed for it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def _claim_entry(call: Call) -> Response:
    body, entry_id = cast("NewHold", call.body), call.ids["entry_id"]
    entry = await call.store.mailboxes.claim_entry(
        entry_id, consumer=body.consumer, lease_ms=body.lease_ms
    )
    if entry is None:
        reason = "it does not exist, has ended, or its mailbox is held or paused; explain says why"
        raise Refused(409, "not_claimable", reason)
    return answer(call, entry, with_tokens=True)


async def _take(call: Call) -> Response:
    body = cast("NewTake", call.body)
    taken = await call.store.mailboxes.take(
        call.ids["entry_id"], body.claim_token, limit=body.limit
    )
    return answer(call, taken, with_tokens=True)


async def _extend(call: Call) -> Response:
    return answer(call, Held(held=await commit(call, call.body)))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/claims",
        summary="Claim due entries, at most one of each mailbox; wait for one if asked to.",
        action="claim",
        owner=ALL,
        body=NewClaim,
        answers={200: tuple[MailboxEntry, ...]},
        handle=_claim,
        details="The entries have their `claim_token`. The answer is empty if nothing was due.",
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/claim",
        summary="Claim one entry, even if it is not due yet.",
        action="claim",
        owner=ALL,
        body=NewHold,
        answers={200: MailboxEntry},
        handle=_claim_entry,
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/take",
        summary="Claim further due entries of the same mailbox, under the same lease.",
        action="claim",
        owner=ALL,
        body=NewTake,
        answers={200: tuple[MailboxEntry, ...]},
        handle=_take,
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/extend",
        summary="Keep a claim; answers whether it is still held.",
        action="claim",
        owner=ALL,
        body=ExtendLease,
        answers={200: Held},
        handle=_extend,
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/ack",
        summary="Settle a claimed entry as done.",
        action="claim",
        owner=ALL,
        body=Ack,
        handle=write,
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/nack",
        summary="Return a claimed entry to the queue, to be tried again.",
        action="claim",
        owner=ALL,
        body=Nack,
        handle=write,
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/release",
        summary="Return a claimed entry to the queue: the claim does not count as an attempt.",
        action="claim",
        owner=ALL,
        body=Release,
        handle=write,
    ),
    Operation(
        method="POST",
        path="/v1/entries/{entry_id}/dead-letter",
        summary="Settle a claimed entry as failed for good.",
        action="claim",
        owner=ALL,
        body=DeadLetter,
        handle=write,
    ),
)
