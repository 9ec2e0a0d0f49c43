"""Random histories: our store and PydanticAI's give the same results, call by call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage

from tests.frameworks.pydantic_ai.messages import asked
from treadle import open_store
from treadle.integrations.pydantic_ai import TreadleConversationStore
from treadle.integrations.pydantic_ai._layout import COLLECTION, ENTRIES

T = TypeVar("T")


class Both(ConversationStore):
    """Calls two stores, and compares what they return and raise."""

    def __init__(self, ours: TreadleConversationStore) -> None:
        self.ours = ours
        self.theirs = InMemoryConversationStore()

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        return await self._both(lambda each: each.read_record(conversation_id))

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        return await self._both(lambda each: each.read_records(scope=scope, limit=limit))

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        await self._both(
            lambda each: each.write_record(
                record, new_entries=new_entries, expected_revision=expected_revision
            )
        )

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        await self._both(
            lambda each: each.delete_record(conversation_id, expected_revision=expected_revision)
        )

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        return await self._both(lambda each: each.read_entry(entry_id))

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        return await self._both(lambda each: each.read_history(head_id, limit=limit))

    async def _both(self, call: Callable[[ConversationStore], Awaitable[T]]) -> T:
        ours, theirs = await _outcome(call(self.ours)), await _outcome(call(self.theirs))
        if isinstance(theirs, Exception):
            assert type(ours) is type(theirs)
            assert str(ours) == str(theirs)
            raise theirs
        assert ours == theirs
        return theirs


async def _outcome(call: Awaitable[T]) -> T | Exception:
    try:
        return await call
    except ConversationConflict as error:
        return error


names = st.sampled_from(["a", "b", "c", "d"])
scopes = st.sampled_from([None, None, "u1", "u2"])
steps = st.one_of(
    st.tuples(st.just("say"), names, scopes, st.integers(1, 3)),
    st.tuples(st.just("say"), names, scopes, st.integers(1, 3)),
    st.tuples(st.just("rewrite"), names, scopes, st.integers(0, 4)),
    st.tuples(st.just("stale"), names, scopes, st.integers(1, 2)),
    st.tuples(st.just("load"), names, scopes, st.sampled_from([None, 0, 1, 3])),
    st.tuples(st.just("branch"), names, scopes, st.integers(0, 5)),
    st.tuples(st.just("go_back"), names, scopes, st.integers(0, 5)),
    st.tuples(st.just("fork"), names, scopes, names),
    st.tuples(st.just("delete"), names, scopes, st.just(0)),
    st.tuples(st.just("list"), names, scopes, st.sampled_from([None, 0, 1, 2])),
    st.tuples(st.just("sweep"), names, scopes, st.just(0)),
)


class Player:
    """Plays a history on two stores."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.said = 0
        self.held: dict[str, Conversation] = {}
        """Conversations that were loaded earlier, and may be stale."""

    async def play(self, step: tuple[str, str, str | None, object]) -> None:
        kind, name, scope, argument = step
        with suppress(UserError):  # both raised it
            await getattr(self, kind)(name, scope, argument)

    async def say(self, name: str, scope: str | None, count: int) -> None:
        loaded = await self.both.load(name, scope=scope)
        conversation = loaded or Conversation(conversation_id=name)
        self.held.setdefault(name, conversation)
        conversation.messages += [self._next() for _ in range(count)]
        await self.both.save(conversation, scope=scope)

    async def rewrite(self, name: str, scope: str | None, keep: int) -> None:
        conversation = await self.both.load(name)
        if conversation is not None:
            conversation.messages = [*conversation.messages[:keep], self._next()]
            await self.both.save(conversation, scope=scope)

    async def stale(self, name: str, scope: str | None, count: int) -> None:
        conversation = self.held.pop(name, Conversation(conversation_id=name))
        conversation.messages += [self._next() for _ in range(count)]
        await self.both.save(conversation, scope=scope)

    async def load(self, name: str, scope: str | None, limit: int | None) -> None:
        found = await self.both.load(name, limit=limit, scope=scope)
        if found is not None:
            self.held[name] = found

    async def branch(self, name: str, scope: str | None, at: int) -> None:
        record = await self.both.read_record(name)
        revision = record.revision if record else None
        await self.both.branch(name, at=at, expected_revision=revision, scope=scope)

    async def go_back(self, name: str, scope: str | None, at: int) -> None:
        record = await self.both.read_record(name)
        if record is None or not record.branches:
            return
        tip = record.branches[at % len(record.branches)]
        await self.both.branch(name, from_entry=tip, expected_revision=record.revision)

    async def fork(self, name: str, scope: str | None, new: str) -> None:
        found = await self.both.load(name)
        at = len(found.messages) // 2 if found and new < name else None
        await self.both.fork(name, at=at, new_conversation_id=new, source_scope=scope)

    async def delete(self, name: str, scope: str | None, argument: int) -> None:
        await self.both.delete(name, scope=scope)

    async def list(self, name: str, scope: str | None, limit: int | None) -> None:
        await self.both.list_conversations(scope=scope, limit=limit)

    async def sweep(self, name: str, scope: str | None, argument: int) -> None:
        """Afterwards both have the same entries: theirs deletes them with the conversation."""
        await self.both.ours.sweep()
        page = await self.both.ours._documents.list(COLLECTION, prefix=ENTRIES, limit=200)
        assert {each.key[-1] for each in page.items} == set(self.both.theirs._entries)

    def _next(self) -> ModelMessage:
        self.said += 1
        return asked(str(self.said))


async def play(history: Sequence[tuple[str, str, str | None, object]]) -> None:
    async with open_store("memory:") as store:
        player = Player(Both(TreadleConversationStore(store)))
        for step in history:
            await player.play(step)
        for name in "abcd":
            await player.both.load(name)
        await player.both.list_conversations()
        await player.sweep("", None, 0)
        assert len((await store.documents.list(COLLECTION, limit=200)).items) < 200


@settings(max_examples=150)
@given(st.lists(steps, max_size=40))
def test_our_store_and_theirs_do_the_same(
    history: list[tuple[str, str, str | None, object]],
) -> None:
    asyncio.run(play(history))
