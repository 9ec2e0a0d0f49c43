"""The conversation store."""

import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from pydantic_ai import AgentRunResult
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)

from treadle import (
    AlreadyExists,
    Batch,
    CorruptRecord,
    Document,
    InvalidValue,
    Store,
    VersionConflict,
)
from treadle.backends.cancellation import shielded
from treadle.integrations._document_pages import PAGE, Key, find_document
from treadle.integrations._open_stores import awaited_store
from treadle.integrations.pydantic_ai import _layout as layout
from treadle.integrations.pydantic_ai._history import read_back
from treadle.integrations.pydantic_ai._layout import COLLECTION, Place, Pointer
from treadle.integrations.pydantic_ai._sweep import sweep

_log = logging.getLogger(__name__)


class TreadleConversationStore(ConversationStore):
    """A conversation store of PydanticAI, on documents.

    A record and its new messages commit together. A history is read 200 messages at a time. Of
    several that save the same conversation, one succeeds, and the others get a
    `ConversationConflict`.

    `delete` deletes a conversation's record, so that it no longer loads or lists. Its messages stay
    until `sweep`, because a fork may share them. Ids of conversations and scopes are parts of keys
    (see `treadle.Documents`): one with control characters, or of more than 900 bytes, cannot be
    saved (`InvalidValue`), and is not found.

    With `step`, what is saved and deleted belongs to that batch, and commits with it. The batch of
    a worker's delivery thus holds the turn and the end of its entry::

        async with delivery.batch() as step:
            conversations = TreadleConversationStore(delivery.store, step=step)
            conversation = await conversations.load("chat", scope="anna")
            result = await agent.run(text, conversation=conversation)
            await conversations.save(result, scope="anna")

    If somebody else saves the conversation before the batch commits, it fails with
    `VersionConflict`, and writes nothing. What is read is what was there before the batch, so a
    conversation can be saved once in it.
    """

    def __init__(self, store: Store, *, step: Batch | None = None) -> None:
        """Make a conversation store.

        Args:
            store: an open store; the conversations are in its collection `pydantic-ai`.
            step: a batch of that store, which gets the writes; None: each write is a commit.
        """
        self._store = awaited_store(store)
        self._documents = store.documents
        self._step = step

    async def save(
        self, conversation: Conversation | AgentRunResult[Any], *, scope: str | None = None
    ) -> list[ConversationEntry]:
        """Save a conversation; see `ConversationStore.save`.

        A cancelled caller waits until the write has ended, so the conversation has the revision
        that the store has, and can be saved again.
        """
        return await shielded(super().save(conversation, scope=scope))

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Read a conversation's record; None if there is none."""
        document = await find_document(
            self._documents, COLLECTION, layout.record_key(conversation_id)
        )
        return None if document is None else layout.read_record(document)

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """Read the records of a scope, or all, newest first; damaged ones are left out."""
        found: list[ConversationRecord] = []
        before: Key | None = None
        while limit is None or len(found) < limit:
            page = await self._documents.list(
                COLLECTION,
                prefix=layout.listing_key(scope),
                before=before,
                limit=PAGE if limit is None else min(limit - len(found), PAGE),
                order="desc",
                values=False,
            )
            found += await self._load_records([each.key[-1] for each in page.items], scope)
            if not page.has_more:
                break
            before = page.next_cursor
        return found

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and its new entries in one commit.

        Raises:
            ConversationConflict: the stored record has another revision, or an entry that the
                record points at is gone.
            VersionConflict, AlreadyExists: as the batch of `step` ends: somebody else has saved
                meanwhile.
            InvalidValue: an id or a message cannot be stored, or an entry does not follow the one
                before it.
        """
        _check_chain(new_entries)
        may_extend = True
        while True:
            try:
                return await self._write(record, new_entries, expected_revision, may_extend)
            except VersionConflict:
                continue  # somebody wrote in between: compare the revisions again
            except AlreadyExists:
                if not may_extend:
                    raise
                may_extend = False  # another conversation goes on behind the same entry

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a record; its entries stay until `sweep`.

        Raises:
            ConversationConflict: there is no record with that revision.
        """
        key = layout.record_key(conversation_id)
        document = await find_document(self._documents, COLLECTION, key)
        if document is None or layout.read_record(document).revision != expected_revision:
            raise ConversationConflict(conversation_id)
        try:
            async with self._batch() as step:
                step.documents.delete(COLLECTION, key, expected=document.version)
                for listing in layout.listing_keys(layout.read_record(document)):
                    step.documents.delete(COLLECTION, listing)
        except VersionConflict as error:
            raise ConversationConflict(conversation_id) from error

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Read an entry.

        Raises:
            LookupError: there is none with this id.
        """
        place = await self._find(entry_id)
        document = await self._documents.load(COLLECTION, place.key)
        if document is None:
            raise LookupError(entry_id)
        return layout.read_entry(document)[0]

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """Read the entries up to `head_id` in their order, or the last `limit` of them.

        Raises:
            LookupError: an entry is gone.
            CorruptRecord: an entry cannot be read.
        """
        if head_id is None or limit == 0:
            return []
        place = await self._find(head_id)
        return await read_back(self._documents, place, head_id, limit)

    async def sweep(self) -> int:
        """Delete the entries that no conversation leads to any longer, and return how many.

        It may run while conversations are saved, forked and deleted.
        """
        return await sweep(self._store)

    async def _load_records(
        self, conversation_ids: Sequence[str], scope: str | None
    ) -> list[ConversationRecord]:
        """Load the records of a page of the list; some may have gone since it was read."""
        keys = [layout.record_key(each) for each in conversation_ids]
        try:
            documents = await self._documents.load_many(COLLECTION, keys)
            records = [layout.read_record(each) for each in documents if each is not None]
        except CorruptRecord:
            records = [each for key in keys for each in await self._load_if_readable(key)]
        return [each for each in records if scope is None or each.scope == scope]

    async def _load_if_readable(self, key: Key) -> list[ConversationRecord]:
        try:
            document = await self._documents.load(COLLECTION, key)
            return [] if document is None else [layout.read_record(document)]
        except CorruptRecord as error:
            _log.warning("a conversation is left out of the list: %s", error)
            return []

    async def _write(
        self,
        record: ConversationRecord,
        new_entries: Sequence[ConversationEntry],
        expected_revision: str | None,
        may_extend: bool,
    ) -> None:
        key = layout.record_key(record.conversation_id)
        pointed = _pointed_at(record, new_entries)
        document, *pointers = await self._documents.load_many(
            COLLECTION, [key, *map(layout.entry_key, pointed)]
        )
        old = None if document is None else layout.read_record(document)
        found = [each for each in pointers if each is not None]
        revision = None if old is None else old.revision
        if revision != expected_revision or len(found) < len(pointed):
            raise ConversationConflict(record.conversation_id)
        parent = new_entries[0].parent_id if new_entries else None
        places = {each.key[-1]: layout.read_pointer(each).place for each in found}
        if self._step is not None and parent is not None:  # no commit follows that could be refused
            next_place = places[parent].moved(1)
            may_extend = await self._documents.load(COLLECTION, next_place.key) is None
        async with self._batch() as step:
            version = 0 if document is None else document.version
            step.documents.put(COLLECTION, key, layout.write_record(record), expected=version)
            for listing in () if old is None else layout.listing_keys(old):
                step.documents.delete(COLLECTION, listing)
            for listing in layout.listing_keys(record):
                step.documents.put(COLLECTION, listing, None)
            _pin(step, found, None if old is None else old.head_id)
            _add(step, new_entries, None if parent is None else places[parent], may_extend)

    @asynccontextmanager
    async def _batch(self) -> AsyncGenerator[Batch]:
        """The batch that gets the writes, or one that commits when the block ends."""
        if self._step is not None:
            yield self._step
            return
        async with self._store.batch() as step:
            yield step

    async def _find(self, entry_id: str) -> Place:
        document = await find_document(self._documents, COLLECTION, layout.entry_key(entry_id))
        if document is None:
            raise LookupError(entry_id)
        return layout.read_pointer(document).place


def _check_chain(entries: Sequence[ConversationEntry]) -> None:
    for before, entry in pairwise(entries):
        if entry.parent_id != before.id:
            reason = f"{entry.id!r} does not follow {before.id!r}, which is before it"
            raise InvalidValue("new_entries", reason)


def _pointed_at(record: ConversationRecord, new_entries: Sequence[ConversationEntry]) -> list[str]:
    """Return the ids of the stored entries that a record and its new entries point at."""
    new_ids = {each.id for each in new_entries}
    parent = new_entries[0].parent_id if new_entries else None
    return sorted({each for each in (record.head_id, parent) if each is not None} - new_ids)


def _pin(step: Batch, pointers: Iterable[Document], old_head: str | None) -> None:
    """Raise the versions of entries, so that no sweep deletes what is pointed at from now on.

    The head of the old record does not need it, because no sweep can miss the record.
    """
    for each in pointers:
        if each.key[-1] != old_head:
            step.documents.put(COLLECTION, each.key, each.value, expected=each.version)


def _add(
    step: Batch, entries: Sequence[ConversationEntry], parent: Place | None, may_extend: bool
) -> None:
    """Add entries after their parent: in its line if they may, or else in a new one."""
    if not entries:
        return
    if parent is not None and may_extend:
        place, origin = parent.moved(1), None
    else:
        place, origin = Place(entries[0].id, 0), parent
    for entry in entries:
        pointer = layout.write_pointer(Pointer(place, origin))
        step.documents.create(COLLECTION, layout.entry_key(entry.id), pointer)
        step.documents.create(COLLECTION, place.key, layout.write_entry(entry, origin))
        place, origin = place.moved(1), None
