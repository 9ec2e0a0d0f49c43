"""What the store promises beyond ChatKit's contract."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from chatkit.store import NotFoundError
from chatkit.types import (
    Page,
    Thread,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from tests.frameworks.chatkit.requests import ME, OTHER, Server, User, answered, said, thread
from tests.marks import every_backend
from treadle import AlreadyExists, CorruptRecord, InvalidValue, Store
from treadle.integrations.chatkit import TreadleChatKitStore

Chats = TreadleChatKitStore[User]


async def listed(chats: Chats, order: str = "asc", limit: int = 500) -> list[str]:
    return [item.id for item in (await chats.load_thread_items("t", None, limit, order, ME)).data]


@every_backend
async def test_an_id_that_is_taken_is_refused_and_loses_nothing(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await chats.add_thread_item("t", said("m", text="first"), ME)
    with pytest.raises(AlreadyExists):
        await chats.add_thread_item("t", said("m", 1, text="second"), ME)
    assert await chats.load_item("t", "m", ME) == said("m", text="first")
    assert await listed(chats) == ["m"]


@every_backend
async def test_an_item_that_is_added_again_stays_as_it_is(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await chats.add_thread_item("t", answered("m", 1, "Hello, World!"), ME)
    await chats.add_thread_item("t", answered("m", 1, "Hello"), ME)
    assert await chats.load_item("t", "m", ME) == answered("m", 1, "Hello, World!")
    with pytest.raises(AlreadyExists):
        await chats.add_thread_item("t", said("m", 1), ME)


@every_backend
async def test_a_stream_that_is_cancelled_while_its_answer_is_stored_ends_as_it_should(
    chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = chats.add_thread_item
    stored = asyncio.Event()

    async def add_slowly(thread_id: str, item: ThreadItem, context: User) -> None:
        await add(thread_id, item, context)
        if item.id == "answer" and not stored.is_set():
            stored.set()
            await asyncio.sleep(60)  # the caller does not hear of it

    async def respond(
        thread: ThreadMetadata, message: UserMessageItem | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        yield ThreadItemAddedEvent(item=answered("answer", 0, "Hello, ", thread.id))
        yield ThreadItemDoneEvent(item=answered("answer", 0, "Hello, World!", thread.id))

    monkeypatch.setattr(chats, "add_thread_item", add_slowly)
    streaming = asyncio.create_task(Server(chats, respond).begin())
    await stored.wait()
    streaming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await streaming
    [thread] = (await chats.load_threads(10, None, "asc", ME)).data
    found = (await chats.load_thread_items(thread.id, None, 10, "asc", ME)).data
    assert sorted(each.type for each in found) == [
        "assistant_message",
        "sdk_hidden_context",
        "user_message",
    ]
    done = answered("answer", 0, "Hello, World!", thread.id)
    assert await chats.load_item(thread.id, "answer", ME) == done


@every_backend
async def test_an_item_of_a_deleted_thread_is_not_saved(chats: Chats, store: Store) -> None:
    await chats.save_thread(thread(), ME)
    await chats.add_thread_item("t", said("m"), ME)
    await chats.delete_thread("t", ME)
    with pytest.raises(NotFoundError, match="Thread t not found"):
        await chats.save_item("t", said("m"), ME)
    assert (await store.documents.list("chatkit")).items == ()


@pytest.mark.parametrize(
    "id", ["a\nb", "x" * 2_000, "\ud800"], ids=["line break", "long", "surrogate"]
)
async def test_an_id_that_nothing_can_have_is_of_nothing(chats: Chats, id: str) -> None:
    await chats.save_thread(thread(), ME)
    for load in (
        chats.load_thread(id, ME),
        chats.load_item("t", id, ME),
        chats.load_item(id, "m", ME),
        chats.load_attachment(id, ME),
        chats.load_threads(5, id, "asc", ME),
        chats.load_thread_items("t", id, 5, "asc", ME),
    ):
        with pytest.raises(NotFoundError):
            await load
    await chats.delete_thread(id, ME)
    await chats.delete_thread_item("t", id, ME)
    await chats.delete_attachment(id, ME)


@every_backend
async def test_an_item_needs_its_thread(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await chats.add_thread_item("t", said("m"), ME)
    await chats.delete_thread("t", ME)
    with pytest.raises(NotFoundError, match="Thread t not found"):
        await chats.add_thread_item("t", said("n"), ME)
    await chats.save_thread(thread(), ME)
    assert await listed(chats) == []


@every_backend
async def test_pages_may_be_longer_than_those_of_the_store(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await asyncio.gather(*(chats.add_thread_item("t", said(f"{n:03}", n), ME) for n in range(230)))
    names = [f"{n:03}" for n in range(230)]
    assert await listed(chats) == names
    assert await listed(chats, "desc") == names[::-1]
    page = await chats.load_thread_items("t", "004", 210, "asc", ME)
    assert [item.id for item in page.data] == names[5:215]
    assert (page.has_more, page.after) == (True, "214")
    assert await listed(chats, limit=0) == ["000"]


@every_backend
async def test_an_item_that_gets_another_time_is_listed_once(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    for number, name in enumerate("abc"):
        await chats.add_thread_item("t", said(name, number), ME)
    await chats.save_item("t", said("a", 5), ME)
    assert await listed(chats) == ["b", "c", "a"]
    await chats.delete_thread_item("t", "a", ME)
    await chats.delete_thread_item("t", "a", ME)
    assert await listed(chats) == ["b", "c"]


@every_backend
async def test_items_that_many_save_at_once_are_listed_once(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await asyncio.gather(*(chats.save_item("t", said("a", n), ME) for n in range(8)))
    assert await listed(chats) == ["a"]
    await asyncio.gather(
        *(chats.save_item("t", said("a", n), ME) for n in range(8)),
        *(chats.delete_thread_item("t", "a", ME) for _ in range(3)),
    )
    assert await listed(chats) in (["a"], [])
    await chats.delete_thread_item("t", "a", ME)
    assert await listed(chats) == []


async def test_items_of_one_time_are_in_the_order_of_their_ids(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    for name in ("b", "c", "a"):
        await chats.add_thread_item("t", said(name, 1), ME)
    assert await listed(chats) == ["a", "b", "c"]


async def test_the_items_of_a_thread_are_not_stored_with_it(chats: Chats) -> None:
    page: Page[ThreadItem] = Page(data=[said("m")])
    await chats.save_thread(Thread(**thread().model_dump(), items=page), ME)
    assert await chats.load_thread("t", ME) == thread()
    assert await listed(chats) == []


async def test_an_unknown_order_is_refused(chats: Chats) -> None:
    with pytest.raises(ValueError, match="order must be 'asc' or 'desc', not 'up'"):
        await chats.load_threads(1, None, "up", ME)


@every_backend
async def test_an_erased_owner_leaves_nothing(chats: Chats, store: Store) -> None:
    for user in (ME, OTHER):
        await chats.save_thread(thread(), user)
        await chats.add_thread_item("t", answered("m"), user)
    await store.erase("me")
    page = await store.documents.list("chatkit")
    assert {document.key[0] for document in page.items} == {"other"}
    assert len(page.items) == 4


@pytest.mark.parametrize(
    "value",
    [None, {"row": "x", "value": {}}, {"row": [1], "value": {}}, {"row": ["a"], "value": 3}],
)
async def test_a_damaged_item_is_named(chats: Chats, store: Store, value: object) -> None:
    await chats.save_thread(thread(), ME)
    await store.documents.put("chatkit", ("me", "items", "t", "m"), value)
    with pytest.raises(CorruptRecord, match="'m'"):
        await chats.load_item("t", "m", ME)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_that_is_deleted_meanwhile_is_filled_with_what_follows(
    chats: Chats, store: Store, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Without an id to go on from, a client would read the first page again and again."""
    await chats.save_thread(thread(), ME)
    for number, name in enumerate("abc"):
        await chats.add_thread_item("t", said(name, number), ME)
    load: Callable[..., object] = store.documents.load_many
    first, second, _ = "abc" if order == "asc" else "cba"

    async def load_late(*args: object, **options: object) -> object:
        monkeypatch.undo()
        await chats.delete_thread_item("t", first, ME)
        return await load(*args, **options)  # type: ignore[misc]

    monkeypatch.setattr(store.documents, "load_many", load_late)
    page = await chats.load_thread_items("t", None, 1, order, ME)
    assert [item.id for item in page.data] == [second]
    assert (page.has_more, page.after) == (True, second)


@pytest.mark.parametrize("after_load", [True, False])
async def test_a_deletion_between_the_reads_of_a_page_leaves_an_item_out(
    chats: Chats, store: Store, monkeypatch: pytest.MonkeyPatch, after_load: bool
) -> None:
    await chats.save_thread(thread(), ME)
    for number, name in enumerate("abc"):
        await chats.add_thread_item("t", said(name, number), ME)
    load: Callable[..., object] = store.documents.load_many

    async def load_late(*args: object, **options: object) -> object:
        if after_load:
            monkeypatch.undo()
            await chats.delete_thread_item("t", "b", ME)
        return await load(*args, **options)  # type: ignore[misc]

    monkeypatch.setattr(store.documents, "load_many", load_late)
    assert await listed(chats) == (["a", "c"] if after_load else ["a", "b", "c"])


async def test_who_is_nobody_has_no_threads(chats: Chats, store: Store) -> None:
    nobody = User("")
    with pytest.raises(InvalidValue, match="names none"):
        await chats.save_thread(thread(), nobody)
    with pytest.raises(InvalidValue, match="names none"):
        await chats.load_threads(10, None, "asc", nobody)
    with pytest.raises(InvalidValue, match="names none"):
        await chats.load_attachment("a", nobody)
    assert (await store.documents.collections()).items == ()
