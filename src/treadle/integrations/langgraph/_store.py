"""`TreadleStore`: LangGraph's long-term memory in a store of Treadle."""

import math
import re
import urllib.parse
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

import treadle
from treadle.core.document_keys import check_key
from treadle.integrations._document_pages import NOBODY, PAGE, Key, each_document
from treadle.integrations._values import plain
from treadle.integrations.langgraph._calls import AnyStore, Calls
from treadle.integrations.langgraph._filters import (
    Namespace,
    check_filter,
    passes,
    select_namespaces,
)
from treadle.integrations.langgraph._layout import behind, read_value
from treadle.queries import LoadDocuments

Kind = TypeVar("Kind", bound=Item)

_KEYS = 1_000
_ITEMS: Key = (NOBODY, "i")
_UNSTORABLE = re.compile(r"[\x00-\x1f%]")


class _Item(msgspec.Struct, frozen=True):
    """The value of an item's document."""

    value: dict[str, Any]
    ttl: float | None = None
    """In minutes."""


class TreadleStore(BaseStore):
    """A store for long-term memory: `builder.compile(checkpointer=..., store=TreadleStore(store))`.

    An item is a document. A search reads all items in its namespace and those below, and returns
    the most recently written first. There is no semantic search: a `query` has no effect.
    """

    supports_ttl = True

    def __init__(
        self,
        store: AnyStore,
        *,
        ttl: TTLConfig | None = None,
        index: IndexConfig | None = None,
        collection: str = "langgraph-store",
    ) -> None:
        """Keep items in a store.

        Args:
            store: an open store. For calls without `await`, it is one of
                `treadle.blocking.open_store`.
            ttl: `default_ttl` is how many minutes an item lives unless its `put` says otherwise.
                With `refresh_on_read`, they count from when it was last read, unless the read says
                otherwise (`refresh_ttl`). An item that has expired is not found; `sweep_ttl`
                removes it.
            index: must be None: there is no index of vectors.
            collection: the collection of the items.

        Raises:
            InvalidValue: there is an `index`.
        """
        if index is not None:
            reason = "there is no semantic search; leave it out, or use a store with vectors"
            raise treadle.InvalidValue("index", reason)
        # LangGraph's own stores do not refresh by default, though its documentation says so.
        self.ttl_config = {"refresh_on_read": False, **(ttl or {})}
        self._calls = Calls(store)
        self._collection = collection

    # --- what LangGraph calls ---------------------------------------------------------------------

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do what `abatch` does, without await."""
        checked = _checked(ops)
        return self._calls.wait(lambda store: self._items(store).do(checked))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Read and write items: reads see the store before the writes, which are one commit."""
        checked = _checked(ops)
        return await self._calls.run(lambda store: self._items(store).do(checked))

    def sweep_ttl(self) -> int:
        """Do what `asweep_ttl` does, without await."""
        return self._calls.wait(_sweep)

    async def asweep_ttl(self) -> int:
        """Delete all documents of the store that have expired; return how many."""
        return await self._calls.run(_sweep)

    def _items(self, store: treadle.Store) -> "_Items":
        return _Items(store, self._collection)


class _Items:
    """The items in a collection."""

    def __init__(self, store: treadle.Store, collection: str) -> None:
        self._store = store
        self._collection = collection

    async def do(self, ops: Sequence[Op]) -> list[Result]:
        """Read and write."""
        gets = [op for op in ops if isinstance(op, GetOp)]
        found = await self._load([_key(op.namespace, op.key) for op in gets])
        read: list[treadle.Document] = []
        results: list[Result] = []
        for op in ops:
            result: Result = None
            match op:
                case GetOp():
                    document = found.get(_key(op.namespace, op.key))
                    if document is not None:
                        read += [document] if op.refresh_ttl else []
                        result = _item(Item, document)
                case SearchOp():
                    documents = await self._search(op)
                    read += documents if op.refresh_ttl else []
                    result = [_item(SearchItem, each) for each in documents]
                case ListNamespacesOp():
                    result = select_namespaces(op, [each async for each in self._namespaces()])
                case PutOp():
                    pass
            results.append(result)
        await self._refresh(read)
        await self._write([op for op in ops if isinstance(op, PutOp)])
        return results

    async def _refresh(self, read: Sequence[treadle.Document]) -> None:
        """Let items that were read live longer, as far as nobody has written them since."""
        lives = {
            document.key: (document.version, item.ttl)
            for document in read
            if (item := read_value(document, _Item)).ttl is not None
        }
        while lives:
            try:
                async with self._store.batch() as step:
                    for key, (version, ttl) in lives.items():
                        step.documents.check(self._collection, key, expected=version)
                        step.documents.touch(self._collection, key, expires_in_ms=_life(ttl))
            except treadle.VersionConflict as error:
                lives = {key: each for key, each in lives.items() if not _is_at(error, key)}
            except treadle.ReadOnlyStore:
                return  # a read is none the worse for it
            else:
                return

    async def _write(self, puts: Sequence[PutOp]) -> None:
        last = {_key(op.namespace, op.key): op for op in puts}
        if not last:
            return
        async with self._store.batch() as step:
            for key, op in last.items():
                if op.value is None:
                    if _can_be(key):
                        step.documents.delete(self._collection, key)
                    continue
                # All stores of LangGraph that write JSON write these values so.
                value: treadle.Json = {"value": plain(dict(op.value))}
                if op.ttl is not None:
                    value["ttl"] = op.ttl
                life = _life(op.ttl)
                step.documents.put(self._collection, key, value, expires_in_ms=life)

    async def _search(self, op: SearchOp) -> list[treadle.Document]:
        check_filter(op.filter)
        wanted = plain(op.filter)
        prefix = (*_ITEMS, *map(_quote, op.namespace_prefix))
        if not _can_be(prefix):
            return []
        found = [
            document
            async for document in each_document(
                self._store.documents, self._collection, prefix, values=bool(wanted)
            )
            if not wanted or passes(read_value(document, _Item).value, wanted)
        ]
        found.sort(key=lambda document: -document.version)
        page = found[op.offset : op.offset + op.limit]
        if wanted:
            return page
        documents = await self._load([document.key for document in page])
        return [documents[each.key] for each in page if each.key in documents]

    async def _namespaces(self) -> AsyncIterator[Namespace]:
        """Yield each namespace: a page of keys, and then what comes after its last namespace."""
        after: Key | None = None
        last: Namespace | None = None
        while True:
            page = await self._store.documents.list(
                self._collection, prefix=_ITEMS, after=after, limit=PAGE, values=False
            )
            for document in page.items:
                namespace = _namespace_of(document.key)
                if namespace != last:
                    yield namespace
                    last = namespace
            if not page.has_more:
                return
            after = behind(page.items[-1].key[:-1])

    async def _load(self, keys: Sequence[Key]) -> dict[Key, treadle.Document]:
        keys = [*filter(_can_be, keys)]
        groups = [tuple(keys[start : start + _KEYS]) for start in range(0, len(keys), _KEYS)]
        queries = [LoadDocuments(collection=self._collection, keys=group) for group in groups]
        answers = await self._store.read(*queries) if queries else ()
        return {each.key: each for answer in answers for each in answer if each is not None}


async def _sweep(store: treadle.Store) -> int:
    count = 0
    while expired := await store.documents.list_expired(limit=PAGE):
        last = max(each.expires_at or 0 for each in expired)
        among = [(each.collection, each.key) for each in expired]
        purged = await store.documents.purge(last + 1, among=among)
        count += purged
        if not purged:
            break  # others were faster, or the clock was set back
    return count


def _checked(ops: Iterable[Op]) -> Sequence[Op]:
    checked = list(ops)
    for op in checked:
        validate_op_namespace(op)
    return checked


def _key(namespace: Namespace, key: str) -> Key:
    """Return the key of an item: the empty part ends its namespace, as no label is empty."""
    return (*_ITEMS, *map(_quote, namespace), "", _quote(key))


def _can_be(key: Key) -> bool:
    """Return whether an item can have a key; there is none at another one, such as a long text."""
    try:
        check_key(key, "key")
    except (treadle.InvalidValue, UnicodeError):
        return False
    return True


def _namespace_of(key: Key) -> Namespace:
    return tuple(map(urllib.parse.unquote, key[2:-2]))


def _quote(text: str) -> str:
    return _UNSTORABLE.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _is_at(error: treadle.VersionConflict, key: Key) -> bool:
    return isinstance(error.key, tuple) and error.key[1:] == key


def _life(minutes: float | None) -> int | None:
    """Return how many milliseconds an item lives, by the clock of the store."""
    if minutes is None:
        return None
    if not math.isfinite(minutes):
        reason = f"it must be a number of minutes, not {minutes}; leave it out for no end"
        raise treadle.InvalidValue("ttl", reason)
    return round(minutes * 60_000)


def _item(kind: type[Kind], document: treadle.Document) -> Kind:
    return kind(
        value=read_value(document, _Item).value,
        key=urllib.parse.unquote(document.key[-1]),
        namespace=_namespace_of(document.key),
        created_at=_time(document.created_at),
        updated_at=_time(document.updated_at),
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)
