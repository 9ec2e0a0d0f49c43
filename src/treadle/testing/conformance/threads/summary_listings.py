"""Listings of the summaries of threads: orders, filters, and pages by cursors."""

from base64 import urlsafe_b64encode
from typing import Any

import msgspec

from treadle import (
    InvalidValue,
    Message,
    Store,
    StoredMessage,
    Thread,
    ThreadMetadata,
    ThreadSummary,
)
from treadle.backends.base import Guarantee
from treadle.core.commands import AnyCommand
from treadle.core.limits import LARGEST_TIME
from treadle.core.pages import Order
from treadle.core.restoring import RestoreThread
from treadle.core.thread_summaries import LAST_MESSAGES, NEWEST, ThreadKey
from treadle.core.threads import ThreadHead
from treadle.testing._harness.builders import says
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing.clock import ManualClock

checks = Checks(__name__)

TIMES: dict[str, tuple[int | None, int | None]] = {
    # id: created, updated
    "a": (5, 9),
    "b": (4, 9),
    "c": (4, 10),
    "🧵": (4, 2),
    "\ufb00": (LARGEST_TIME, LARGEST_TIME),
    "d": (None, 7),
    "e": (0, None),
    "f": (None, None),
}
ORDERS: dict[ThreadKey, str] = {
    "id": "abcdef\ufb00🧵",
    "created_at": "dfebc🧵a\ufb00",
    "updated_at": "ef🧵dabc\ufb00",
}


async def _fill(store: Store) -> None:
    restored: list[AnyCommand] = []
    for key, (created_at, updated_at) in TIMES.items():
        metadata = ThreadMetadata(created_at=created_at, updated_at=updated_at)
        thread = Thread(
            id=key,
            resource_id="x" if key in "acf" else "y",
            parent_thread_id="a" if key in "bcd" else None,
            metadata=metadata,
        )
        restored.append(RestoreThread(head=ThreadHead(thread=thread, version=3)))
    await store.commit(tuple(restored))


async def _ids(store: Store, **arguments: Any) -> str:
    """The ids of all pages, one after the other."""
    found: list[ThreadSummary] = []
    page = await store.threads.list_summaries(**arguments)
    while True:
        found += page.items
        if page.next_cursor is None:
            return "".join(each.id for each in found)
        assert page.items, "a page has a cursor, and no items"
        page = await store.threads.list_summaries(**arguments, after=page.next_cursor)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=ORDERS)
async def summaries_are_listed_in_their_order_in_pages_of_any_size(
    store: Store, ordered: str
) -> None:
    await _fill(store)
    by = next(key for key, ids in ORDERS.items() if ids == ordered)
    directions: dict[Order, str] = {"asc": ordered, "desc": ordered[::-1]}
    for order, ids in directions.items():
        for limit in (1, 2, 3, 8, 200):
            expect(await _ids(store, by=by, order=order, limit=limit), ids)


FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "owner": ({"resource_id": "x"}, "acf"),
    "nobody": ({"resource_id": "z"}, ""),
    "parent": ({"parent_thread_id": "a"}, "bcd"),
    "roots": ({"roots": True}, "aef\ufb00🧵"),
    "roots of an owner": ({"roots": True, "resource_id": "x"}, "af"),
    "owner and parent": ({"resource_id": "y", "parent_thread_id": "a"}, "bd"),
    "roots with a parent": ({"roots": True, "parent_thread_id": "a"}, ""),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=FILTERS)
async def summaries_are_filtered_in_every_order(
    store: Store, filters: dict[str, Any], ids: str
) -> None:
    await _fill(store)
    for by, ordered in ORDERS.items():
        expected = "".join(key for key in ordered if key in ids)
        for limit in (1, 50):
            expect(await _ids(store, by=by, limit=limit, **filters), expected)
            backward = await _ids(store, by=by, order="desc", limit=limit, **filters)
            expect(backward, expected[::-1])


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listed_head_is_the_head_of_the_thread(store: Store, clock: ManualClock) -> None:
    metadata = ThreadMetadata(extra={"title": "é"})
    await store.threads.create(Thread(id="t", resource_id="x", metadata=metadata))
    await store.threads.create(Thread(id="u"))
    clock.now += 5
    await store.threads.append("t", says("one", "two"))
    page = await store.threads.list_summaries(by="updated_at", order="desc")
    expect(list(page.items), [await store.threads.summary("t"), await store.threads.summary("u")])
    expect(page.next_cursor, None)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listing_follows_appends_updates_saves_and_deletions(
    store: Store, clock: ManualClock
) -> None:
    for key in "abcd":
        clock.now += 1
        await store.threads.create(Thread(id=key, resource_id="x"))
    newest: dict[str, Any] = {"by": "updated_at", "order": "desc", "resource_id": "x"}
    expect(await _ids(store, **newest), "dcba")
    clock.now += 1
    await store.threads.append("b", says("x"))
    expect(await _ids(store, **newest), "bdca")
    clock.now += 1
    await store.threads.update("a", metadata={"title": "new"})
    expect(await _ids(store, **newest), "abdc")
    await store.threads.update("b", resource_id="y")
    await store.threads.delete("d")
    expect(await _ids(store, **newest), "ac")
    clock.now += 1
    await store.threads.save(Thread(id="c", resource_id="x"))
    expect(await _ids(store, **newest), "ca")
    oldest = await _ids(store, by="created_at")
    expect(oldest, "abc")


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_of_summaries_has_at_most_200(store: Store) -> None:
    async with store.batch() as step:
        for number in range(201):
            step.threads.create(Thread(id=f"t{number:03}"))
    page = await store.threads.list_summaries(limit=500)
    expect((len(page.items), page.next_cursor is None), (200, False))
    expect(len((await store.threads.list_summaries(limit=0)).items), 1)


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_cursor_stays_good_when_its_thread_is_deleted(store: Store) -> None:
    await _fill(store)
    first = await store.threads.list_summaries(by="created_at", limit=4)
    await store.threads.delete("b")
    await store.threads.delete("c")
    rest = await store.threads.list_summaries(by="created_at", after=first.next_cursor)
    expect("".join(each.id for each in rest.items), "c🧵a\ufb00".replace("c", ""))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_listed_summary_has_the_last_message_that_is_not_internal(
    store: Store, clock: ManualClock
) -> None:
    for key in ("empty", "internal", "long", "short"):
        await store.threads.create(Thread(id=key))
    internal = Message(role="assistant", content="thoughts", visibility="internal")
    await store.threads.append("short", Message.user("é", id="m1"))
    clock.now += 5
    await store.threads.append("short", Message.assistant("two", id="m2"), internal)
    many = [Message.user(f"{number}", id=f"m{number}") for number in range(NEWEST + 10)]
    await store.threads.append("long", *many)
    await store.threads.append("internal", many[0], *([internal] * NEWEST))
    page = await store.threads.list_summaries(with_last_message=True)
    summaries = {each.id: each for each in page.items}
    two = Message.assistant("two", id="m2")
    expect(
        summaries["short"].last_message,
        StoredMessage(cursor=1, message=two, committed_at=clock.now),
    )
    last = summaries["long"].last_message
    assert last is not None
    expect((last.cursor, last.message), (NEWEST + 9, many[-1]))
    expect((summaries["empty"].last_message, summaries["internal"].last_message), (None, None))
    plain = await store.threads.list_summaries()
    expect({each.last_message for each in plain.items}, {None})


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def a_page_ends_before_its_last_messages_take_too_much(store: Store) -> None:
    sizes = {"a": 1, "b": LAST_MESSAGES // 2, "c": 2 * LAST_MESSAGES, "d": 1, "e": 1}
    for key, size in sizes.items():
        await store.threads.create(Thread(id=key))
        await store.threads.append(key, Message.user("x" * size))
    pages: list[str] = []
    after: str | None = None
    while True:
        page = await store.threads.list_summaries(with_last_message=True, after=after, limit=4)
        for each in page.items:
            assert each.last_message is not None
            expect(len(str(each.last_message.message.content)), sizes[each.id])
        pages.append("".join(each.id for each in page.items))
        after = page.next_cursor
        if after is None:
            break
    expect(pages, ["ab", "c", "de"])
    whole = await store.threads.list_summaries()
    expect((len(whole.items), whole.next_cursor), (5, None))


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE)
async def the_last_message_follows_appends_truncations_and_saves(
    store: Store, clock: ManualClock
) -> None:
    await store.threads.create(Thread(id="t", resource_id="x"))
    await store.threads.append("t", says("one", "two", "three"))

    async def last() -> object:
        page = await store.threads.list_summaries(resource_id="x", limit=1, with_last_message=True)
        found = page.items[0].last_message
        return None if found is None else (found.cursor, found.message.content)

    expect(await last(), (2, "three"))
    await store.threads.truncate("t", keep=2)
    expect(await last(), (1, "two"))
    await store.threads.append("t", says("four"))
    expect(await last(), (2, "four"))
    await store.threads.save(Thread(id="t", resource_id="x", messages=(Message.user("new"),)))
    expect(await last(), (0, "new"))
    await store.threads.truncate("t", keep=0)
    expect(await last(), None)


def _written(position: Any) -> str:
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


CURSORS: dict[str, str] = {
    "empty": "",
    "text": "x",
    "é": "é",
    "an id": "thread-1",
    "no list": _written({}),
    "too short": _written(["id", -1]),
    "too long": _written(["id", -1, "t", 1]),
    "another order": _written(["created_at", 5, "t"]),
    "an unknown order": _written(["size", 5, "t"]),
    "a time that is text": _written(["id", "5", "t"]),
    "a time below none": _written(["id", -2, "t"]),
    "a time of 65 bits": _written(["id", 2**64, "t"]),
    "a bad id": _written(["id", -1, "a/b"]),
    "no id": _written(["id", -1, ""]),
    "padding": urlsafe_b64encode(b'["id",-1,"tt"]').decode(),
    "spaces": urlsafe_b64encode(b'["id", -1,"tt"] ').decode(),
    "a long one": "x" * 100_000,
    "brackets": urlsafe_b64encode(b"[" * 50_000).decode(),
}


@checks.add(Guarantee.LISTINGS_ARE_COMPLETE, each=CURSORS)
async def what_is_no_cursor_of_the_listing_is_refused(store: Store, cursor: str) -> None:
    await _fill(store)
    with refused(InvalidValue) as caught:
        await store.threads.list_summaries(after=cursor)
    expect(caught.value.where, "list_summaries.after")
    assert len(str(caught.value)) < 1_000
