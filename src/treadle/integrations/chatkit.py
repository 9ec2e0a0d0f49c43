"""Threads, items and attachments of OpenAI's ChatKit in a store.

`TreadleChatKitStore` is the store of a `ChatKitServer`::

    async with treadle.open_store("sqlite:///agents.db") as store:
        server = MyServer(TreadleChatKitStore(store, owner=lambda context: context.user_id))

All of it is documents in one collection, under keys that begin with the owner's id: an owner sees
nothing of others, and `Store.erase` deletes all of an owner.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TypeVar

from treadle import AlreadyExists, Batch, CorruptRecord, InvalidValue, Json, NotFound, Store
from treadle.integrations._document_pages import Key, find_document
from treadle.integrations._open_stores import awaited_store
from treadle.integrations._ordered import Order, OrderedDocuments, rank_of
from treadle.integrations._requirements import requires

with requires("treadle[chatkit]"):
    from chatkit.store import NotFoundError, TContext
    from chatkit.store import Store as ChatKitStore
    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata
    from pydantic import TypeAdapter, ValidationError

__all__ = ["TreadleChatKitStore"]

_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
ValueT = TypeVar("ValueT")


class TreadleChatKitStore(ChatKitStore[TContext]):
    """A store of a `ChatKitServer` that keeps all of it in a store of Treadle.

    Items and threads are listed by the time of their creation, and by their ids if it is the same.
    Two writers of one item or thread do not mix: the later one wins. An item can be stored only in
    a thread that exists. It can be added once: a generated id that is taken is an error and no
    loss. An item of the same type and time is taken for the same item, which stays as it is.

    Args:
        store: an open store; it stays open.
        owner: returns the id of the owner of the threads, such as the user, from the context of a
            request. Nobody sees what belongs to another owner. If it is empty, each call raises
            `InvalidValue`.
        collection: the collection of the documents, which differs where several servers share a
            store.
    """

    def __init__(
        self, store: Store, *, owner: Callable[[TContext], str], collection: str = "chatkit"
    ) -> None:
        self._store = awaited_store(store)
        self._owner = owner
        self._collection = collection

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        """Load a thread without its items.

        Raises:
            NotFoundError: the owner has no such thread.
        """
        with _not_found(f"Thread {thread_id} not found"):
            return _read(_THREAD, thread_id, await self._threads(context).load(thread_id))

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        """Create or replace a thread; its items, if it is given with some, are not stored here."""
        value = thread.model_dump(mode="json", exclude={"items"})
        await self._threads(context).save(thread.id, rank_of(thread.created_at), value)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        """Load a page of threads after the thread `after`.

        Raises:
            NotFoundError: the owner has no thread `after`.
        """
        with _not_found(f"Thread {after} not found"):
            return await _page(_THREAD, self._threads(context), limit, after, order)

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        """Delete a thread with its items; one that does not exist is not an error."""
        items = self._items(thread_id, context)
        await self._threads(context).delete(thread_id, also=items.delete_all)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        """Load a page of the items of a thread after the item `after`.

        Raises:
            NotFoundError: the thread has no item `after`.
        """
        with _not_found(f"Item {after} not found in thread {thread_id}"):
            return await _page(_ITEM, self._items(thread_id, context), limit, after, order)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Add an item to a thread; one that was added already stays as it is.

        Raises:
            NotFoundError: the owner has no such thread.
            AlreadyExists: the thread has another item with this id.
        """
        items = self._items(thread_id, context)
        check_thread = self._check_of(thread_id, context)
        try:
            with _not_found(f"Thread {thread_id} not found"):
                async with self._store.batch() as step:
                    check_thread(step)
                    items.create(step, item.id, rank_of(item.created_at), _written(_ITEM, item))
        except AlreadyExists:
            # A server whose stream is cancelled while it adds an answer adds what it has of it.
            if not await _has(items, item):
                raise

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        """Create or replace an item of a thread.

        Raises:
            NotFoundError: the owner has no such thread: nobody would see the item, or delete it.
        """
        items = self._items(thread_id, context)
        with _not_found(f"Thread {thread_id} not found"):
            await items.save(
                item.id,
                rank_of(item.created_at),
                _written(_ITEM, item),
                also=self._check_of(thread_id, context),
            )

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        """Load an item of a thread.

        Raises:
            NotFoundError: the thread has no such item.
        """
        with _not_found(f"Item {item_id} not found in thread {thread_id}"):
            return _read(_ITEM, item_id, await self._items(thread_id, context).load(item_id))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        """Delete an item of a thread; one that does not exist is not an error."""
        await self._items(thread_id, context).delete(item_id)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        """Create or replace the metadata of an attachment."""
        key = self._attachment(attachment.id, context)
        await self._store.documents.put(self._collection, key, _written(_ATTACHMENT, attachment))

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        """Load the metadata of an attachment.

        Raises:
            NotFoundError: the owner has no such attachment.
        """
        key = self._attachment(attachment_id, context)
        found = await find_document(self._store.documents, self._collection, key)
        if found is None:
            raise NotFoundError(f"Attachment {attachment_id} not found")
        return _read(_ATTACHMENT, attachment_id, found.value)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        """Delete the metadata of an attachment; one that does not exist is not an error."""
        key = self._attachment(attachment_id, context)
        with suppress(InvalidValue):  # no attachment can have such an id
            await self._store.documents.delete(self._collection, key)

    def _owner_of(self, context: TContext) -> str:
        owner = self._owner(context)
        if not owner:
            # Keys that begin with an empty part are nobody's: all such users would share them.
            raise InvalidValue("owner", "the context of the request names none; refuse the request")
        return owner

    def _threads(self, context: TContext) -> OrderedDocuments:
        owner = self._owner_of(context)
        return OrderedDocuments(
            self._store,
            self._collection,
            values=(owner, "threads"),
            order=(owner, "threads by time"),
        )

    def _items(self, thread_id: str, context: TContext) -> OrderedDocuments:
        owner = self._owner_of(context)
        return OrderedDocuments(
            self._store,
            self._collection,
            values=(owner, "items", thread_id),
            order=(owner, "items by time", thread_id),
        )

    def _check_of(self, thread_id: str, context: TContext) -> Callable[[Batch], object]:
        """Return what adds to a batch that it fails with `NotFound` if there is no such thread."""
        key = (*self._threads(context).values, thread_id)
        return lambda step: step.documents.check(self._collection, key)

    def _attachment(self, attachment_id: str, context: TContext) -> Key:
        return (self._owner_of(context), "attachments", attachment_id)


@contextmanager
def _not_found(message: str) -> Generator[None]:
    """Raise ChatKit's error where a document does not exist."""
    try:
        yield
    except NotFound as error:
        raise NotFoundError(message) from error


async def _has(items: OrderedDocuments, item: ThreadItem) -> bool:
    """Return whether a thread has an item, at whatever state its text is."""
    try:
        stored = _read(_ITEM, item.id, await items.load(item.id))
    except NotFound:
        return False
    return (stored.type, stored.created_at) == (item.type, item.created_at)


async def _page(
    kind: TypeAdapter[ValueT],
    documents: OrderedDocuments,
    limit: int,
    after: str | None,
    order: str,
) -> Page[ValueT]:
    if order not in ("asc", "desc"):
        raise ValueError(f"order must be 'asc' or 'desc', not {order!r}")
    direction: Order = "asc" if order == "asc" else "desc"
    found = await documents.page(after=after, limit=limit, order=direction)
    return Page(
        data=[_read(kind, id, value) for id, value in found.items],
        has_more=found.has_more,
        after=found.items[-1][0] if found.has_more and found.items else None,
    )


def _written(kind: TypeAdapter[ValueT], value: ValueT) -> Json:
    return kind.dump_python(value, mode="json")


def _read(kind: TypeAdapter[ValueT], id: str, value: Json) -> ValueT:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise CorruptRecord(
            f"document {id!r}", str(error), "find out which program wrote it"
        ) from error
