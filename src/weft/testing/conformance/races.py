"""Races: two processes at the same store end as if one had come after the other.

What may come of a race is asked of the model: each order of the two acts gives one outcome. The
acts meet at full speed, and with one of them held at each step that its commit takes.
"""

import asyncio
import re
from itertools import count
from pathlib import Path
from typing import Any

from weft.backends.base import Guarantee
from weft.backends.memory.backend import MemoryBackend
from weft.core.commands import Ack, AppendThread, Batch, Enqueue, Hold, Nack, Send
from weft.core.threads import Thread
from weft.store.store import Store
from weft.testing.actor import Act, Actor, Fault
from weft.testing.builders import claim_one, enqueue, entry, says
from weft.testing.clock import ManualClock
from weft.testing.conformance.check import Facet
from weft.testing.contents import read_everything
from weft.testing.exact import differences
from weft.testing.outcome import outcome
from weft.testing.subject import Subject

facet = Facet("concurrency")

ROUNDS = 10
"""How often each race is run at full speed."""
MAILBOXES = ("box", "other")
_TOKEN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def prepare(store: Store) -> None:
    """A thread, two entries in one mailbox of which the better is claimed, one in another."""
    await store.threads.create(Thread(id="t"))
    await enqueue(store, entry("held", priority=9), entry("next"), entry("third", "other"))
    held = await claim_one(store, "box", consumer="holder", lease_ms=30_000)
    await store.threads.create(Thread(id="token", state=held.claim_token))


async def held_token(store: Store) -> str:
    """The token of the entry that `prepare` has claimed."""
    head = await store.threads.load("token")
    assert head is not None
    return str(head.thread.state)


async def claim(store: Store) -> Any:
    """Claim all that can be had."""
    return await store.mailboxes.claim(10, consumer="claimer", lease_ms=30_000)


async def claim_later(store: Store) -> Any:
    """Claim all that can be had once the holder's lease has run out."""
    return await store.mailboxes.claim(10, consumer="late", now=ManualClock().now + 40_000)


async def claim_next(store: Store) -> Any:
    """Claim an entry by its id."""
    return await store.mailboxes.claim_entry("third", consumer="chooser")


async def enqueue_urgent(store: Store) -> Any:
    """Put a better entry into the other mailbox."""
    return await store.commit((Enqueue(entry=entry("urgent", "other", priority=99)),))


async def send_once(store: Store) -> Any:
    """Send with a dedupe key."""
    return await store.commit(
        (Send(entry_id="sent", mailbox_id="other", payload="one", dedupe_key="k"),)
    )


async def send_again(store: Store) -> Any:
    """Send with the same dedupe key."""
    return await store.commit(
        (Send(entry_id="again", mailbox_id="other", payload="two", dedupe_key="k"),)
    )


async def ack(store: Store) -> Any:
    """Settle the held entry."""
    return await store.mailboxes.ack("held", await held_token(store))


async def nack(store: Store) -> Any:
    """Put the held entry back."""
    token = await held_token(store)
    return await store.commit((Nack(entry_id="held", claim_token=token, error="again"),))


async def extend(store: Store) -> Any:
    """Keep the held entry."""
    return await store.mailboxes.extend_lease("held", await held_token(store), extension_ms=90_000)


async def step(store: Store) -> Any:
    """What a worker commits: fenced, to a thread, to another mailbox, and the settlement."""
    token = await held_token(store)
    batch: Batch = (
        Hold(entry_id="held", claim_token=token),
        AppendThread(thread_id="t", changes=says("step", run_id="r")),
        Send(entry_id="onward", mailbox_id="other", payload=1),
        Ack(entry_id="held", claim_token=token),
    )
    return await store.commit(batch)


async def interrupt(store: Store) -> Any:
    """Start the mailbox anew."""
    return await store.mailboxes.interrupt("box")


async def cancel(store: Store) -> Any:
    """End the entry that would be claimed next."""
    return await store.mailboxes.cancel("third")


async def append_one(store: Store) -> Any:
    """Append at version 0."""
    return await store.threads.append("t", says("one"), expected=0)


async def append_other(store: Store) -> Any:
    """Append something else at version 0."""
    return await store.threads.append("t", says("other"), expected=0)


async def delete(store: Store) -> Any:
    """Remove the thread."""
    return await store.threads.delete("t")


RACES: dict[str, tuple[Act, Act]] = {
    "enqueue against claim": (enqueue_urgent, claim),
    "claim against enqueue": (claim, enqueue_urgent),
    "claim against claim": (claim, claim),
    "claim against claim by id": (claim, claim_next),
    "ack against interrupt": (ack, interrupt),
    "interrupt against ack": (interrupt, ack),
    "ack against a claim after the lease": (ack, claim_later),
    "nack against claim": (nack, claim),
    "extension against a claim after the lease": (extend, claim_later),
    "claim against cancel": (claim, cancel),
    "cancel against claim": (cancel, claim),
    "append against append": (append_one, append_other),
    "append against delete": (append_one, delete),
    "a worker's step against interrupt": (step, interrupt),
    "interrupt against a worker's step": (interrupt, step),
    "a worker's step against a claim after the lease": (step, claim_later),
    "two sends of one dedupe key": (send_once, send_again),
}


@facet.check(Guarantee.ONE_ORDER, "shared", each=RACES)
def two_processes_at_full_speed_end_as_one_after_the_other(
    subject: Subject, place: Path, one: Act, other: Act
) -> None:
    possible = possible_ends(one, other)
    for number in range(ROUNDS):
        here = prepared(subject, place / str(number))
        with Actor(subject, here) as first, Actor(subject, here) as second:
            first.begin(one)
            second.begin(other)
            results = [first.result(), second.result()]
        assert_possible([*results, asyncio.run(read(subject, here))], possible)


@facet.check(Guarantee.ONE_ORDER, "shared", "faults", each=RACES)
def a_write_held_at_any_step_ends_as_one_before_or_after_the_other(
    subject: Subject, place: Path, one: Act, other: Act
) -> None:
    possible = possible_ends(one, other)
    for at in count(1):
        here = prepared(subject, place / str(at))
        with (
            Actor(subject, here, Fault("stand", at)) as first,
            Actor(subject, here) as second,
        ):
            first.begin(one)
            if first.result() != "standing":
                assert at > 1, "the fault hook was never called"
                return
            second.begin(other)
            second.settle()
            first.go_on()
            results = [first.result(), second.result()]
        assert_possible([*results, asyncio.run(read(subject, here))], possible)


def prepared(subject: Subject, place: Path) -> Path:
    """A new store, with what the acts want."""
    place.mkdir()

    async def fill() -> None:
        async with Store(subject.make(place, ManualClock())) as store:
            await prepare(store)

    asyncio.run(fill())
    return place


def possible_ends(one: Act, other: Act) -> list[Any]:
    """What comes of the two on the model, in either order."""

    async def ask() -> list[Any]:
        first = await _in_order([one, other])
        second, first_result, contents = await _in_order([other, one])
        return [without_tokens(end) for end in (first, [first_result, second, contents])]

    return asyncio.run(ask())


async def _in_order(acts: list[Act]) -> list[Any]:
    async with Store(MemoryBackend(ManualClock())) as model:
        await prepare(model)
        results = [await outcome(act(model)) for act in acts]
        return [*results, await read_everything(model, MAILBOXES)]


async def read(subject: Subject, place: Path) -> Any:
    """All that the store at `place` holds."""
    async with Store(subject.make(place, ManualClock())) as store:
        return await read_everything(store, MAILBOXES)


def assert_possible(found: list[Any], possible: list[Any]) -> None:
    """Fail unless one order explains the results and the contents."""
    found = without_tokens(found)
    assert found in possible, f"no order explains: {_told(found, possible)}"


def _told(found: list[Any], possible: list[Any]) -> str:
    told = [f"the results {found[:2]!r}"]
    for end in possible:
        told += list(differences(found, end))[:3]
    return "; ".join(told)


def without_tokens(value: Any) -> Any:
    """JSON in which all claim tokens are alike."""
    match value:
        case dict():
            return {key: without_tokens(item) for key, item in value.items()}
        case list():
            return [without_tokens(item) for item in value]
        case str():
            return _TOKEN.sub("token", value)
        case _:
            return value
