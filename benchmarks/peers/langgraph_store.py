"""LangGraph: `SqliteStore`, its store of documents, with its defaults."""

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import msgspec

from benchmarks.peers.base import DocumentSubject, key_of, sqlite_durability
from benchmarks.texts import payload

NAMESPACE = ("known",)
PUT_AT_ONCE = 1_000


class LangGraphStore(DocumentSubject):
    """A namespace of items; a page is a search without a query, by its offset."""

    name = "LangGraph SqliteStore"
    distribution = "langgraph-checkpoint-sqlite"
    fills_quickly = False
    appends = False

    async def open(self) -> None:
        self.database = self.folder / "store.db"
        await self.connect()

    async def close(self) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        self.stack = ExitStack()
        kind = import_module("langgraph.store.sqlite").SqliteStore
        self.items: Any = self.stack.enter_context(kind.from_conn_string(str(self.database)))
        self.items.setup()
        self.put_op: Any = import_module("langgraph.store.base").PutOp

    async def disconnect(self) -> None:
        self.stack.close()

    def durability(self) -> str:
        return sqlite_durability(self.database)

    async def fill(self, count: int) -> None:
        for first in range(0, count, PUT_AT_ONCE):
            numbers = range(first, min(first + PUT_AT_ONCE, count))
            self.items.batch(
                [
                    self.put_op(NAMESPACE, key_of(number), msgspec.json.decode(payload(number)))
                    for number in numbers
                ]
            )

    async def put(self, number: int, text: str) -> None:
        self.items.put(NAMESPACE, key_of(number), {"text": text})

    async def load(self, number: int) -> object:
        return self.items.get(NAMESPACE, key_of(number))

    async def page(self, after: int, count: int) -> Sequence[object]:
        found: list[object] = self.items.search(NAMESPACE, limit=count, offset=after)
        return found

    async def say(self, text: str) -> None:
        raise NotImplementedError("it has no threads")
