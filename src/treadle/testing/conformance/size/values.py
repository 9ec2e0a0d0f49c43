"""Large values: they come back whole, however they are stored and read."""

from treadle import Store, Thread, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.core.limits import LARGEST_INTEGER
from treadle.testing._harness.builders import (
    claim_one,
    deltas_since,
    head_of,
    loaded,
    loaded_run,
    run,
    said,
    sets,
    texts,
)
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)

SIZES = {"64 kB": 2**16, "1 MB": 2**20}
"""Just over what a short text column, a request or a value of other stores may hold."""
HUGE = 2**24
"""16 MB, more than most limits of a message or a row."""


def text_of(size: int) -> str:
    """A text of a little more than `size` bytes, which shows where a part of it is lost."""
    return "".join([f"line {number:08} 🧵 ß\n" for number in range(size // 20 + 1)])


def require_same(found: object, expected: object) -> None:
    """Like `expect`, but without showing the values, which are too long."""
    assert found == expected, "it differs from what was stored"


@checks.add(Guarantee.VALUES_ARE_KEPT, each=SIZES)
async def a_message_is_kept_at_size(store: Store, size: int) -> None:
    text = text_of(size)
    await store.threads.create(Thread(id="t", messages=(said(text),)))
    await store.threads.append("t", said(text[::-1]))
    require_same(await texts(store, "t"), [text, text[::-1]])
    page = await store.threads.list_messages("t", after=0)
    require_same([each.message.content for each in page.messages], [text[::-1]])
    (delta,) = await deltas_since(store, 0)
    require_same(delta.changes.messages[0].content, text[::-1])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def a_message_of_16_megabytes_is_kept(store: Store) -> None:
    text = text_of(HUGE)
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", said(text))
    await store.threads.append("t", said("after it"))
    require_same(await texts(store, "t"), [text, "after it"])


@checks.add(Guarantee.VALUES_ARE_KEPT, each=SIZES)
async def a_state_is_kept_at_size(store: Store, size: int) -> None:
    numbers = [LARGEST_INTEGER - number for number in range(size // 22 + 1)]
    await store.threads.create(Thread(id="t", state={"created": numbers}))
    await store.threads.append("t", ThreadChangeSet(snapshot={"snapshot": numbers}))
    await store.threads.append("t", ThreadChangeSet(patches=(sets("patched", numbers[::-1]),)))
    thread = (await head_of(store)).thread
    require_same(thread.state, {"snapshot": numbers})
    require_same(thread.patches, (sets("patched", numbers[::-1]),))


@checks.add(Guarantee.VALUES_ARE_KEPT, each=SIZES)
async def an_entry_is_kept_at_size(store: Store, size: int) -> None:
    text = text_of(size)
    sent = (await store.mailboxes.send("box", {"text": text})).entry
    require_same(sent.payload, {"text": text})
    claimed = await claim_one(store)
    require_same(claimed.payload, {"text": text})
    await store.mailboxes.dead_letter(claimed, error=text)
    found = await loaded(store, sent.entry_id)
    require_same((found.payload, found.last_error), ({"text": text}, text))


@checks.add(Guarantee.VALUES_ARE_KEPT, each=SIZES)
async def a_run_is_kept_at_size(store: Store, size: int) -> None:
    metadata = {"text": text_of(size), "more": {str(number): number for number in range(1_000)}}
    await store.runs.upsert(run("r", metadata=metadata))
    require_same((await loaded_run(store)).metadata, metadata)
    (listed,) = (await store.runs.list()).items
    require_same(listed.metadata, metadata)


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def values_that_differ_in_their_last_character_are_different(store: Store) -> None:
    text = text_of(2**16)
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", said(text + "a"), said(text + "b"))
    require_same(await texts(store, "t"), [text + "a", text + "b"])


@checks.add(Guarantee.VALUES_ARE_KEPT)
async def a_page_of_large_messages_is_whole(store: Store) -> None:
    parts = [text_of(2**16) + str(number) for number in range(50)]
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", *(said(part) for part in parts))
    page = await store.threads.list_messages("t", limit=50)
    require_same([each.message.content for each in page.messages], parts)
    expect(page.has_more, False)
