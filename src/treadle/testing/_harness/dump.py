"""Everything a store holds, read through the façade, as the documents the files backend writes."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from treadle import Document, MailboxEntry, MailboxState, RunRecord, Store, encode
from treadle.core.codec import to_plain
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailbox_queries import CountEntries, LoadMailbox
from treadle.core.queries import Query
from treadle.core.run_queries import FindActiveRun
from treadle.core.thread_queries import ListDeltas, ListMessages, LoadThread
from treadle.core.thread_summaries import LoadThreadSummary

Documents = dict[str, bytes]
"""Relative path of a document → its bytes."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VERSION = re.compile(r'("version":) [0-9]{16}\b')
"""The version of a document: a time, in microseconds."""
ItemT_co = TypeVar("ItemT_co", covariant=True)


class _Page(Protocol[ItemT_co]):
    @property
    def items(self) -> tuple[ItemT_co, ...]: ...

    @property
    def has_more(self) -> bool: ...


async def _all(list_page: Callable[..., Awaitable[_Page[ItemT_co]]]) -> list[ItemT_co]:
    found: list[ItemT_co] = []
    while True:
        page = await list_page(offset=len(found), limit=200)
        found += page.items
        if not page.has_more:
            return found
        assert page.items, "a page says that more follow, and holds nothing"


async def all_thread_ids(store: Store) -> list[str]:
    """The ids of all threads."""
    return await _all(store.threads.list)


async def all_runs(store: Store) -> list[RunRecord]:
    """All runs, oldest first."""
    return await _all(store.runs.list)


async def all_entries(store: Store) -> list[MailboxEntry]:
    """All mailbox entries, oldest first."""
    return await _all(store.mailboxes.list_entries)


async def all_states(store: Store) -> list[MailboxState]:
    """The states of all mailboxes."""
    return await _all(store.mailboxes.list)


async def read_documents(store: Store) -> Documents:
    """All documents, read one after the other: a backend may open a connection for each reader."""
    ids, runs = await all_thread_ids(store), await all_runs(store)
    entries, states = await all_entries(store), await all_states(store)
    heads = await store.read(*(LoadThread(thread_id=thread_id) for thread_id in ids))
    found: Documents = {}
    for thread_id, head in zip(ids, heads, strict=True):
        assert head is not None, f"thread {thread_id!r} is listed, and not there"
        version = b'{\n  "_version": %d,\n' % head.version
        found[f"{thread_id}.json"] = encode(head.thread, pretty=True).replace(b"{\n", version, 1)
    found |= {f"_runs/{run.run_id}.json": encode(run, pretty=True) for run in runs}
    found |= {f"_mailbox/{entry.entry_id}.json": encode(entry, pretty=True) for entry in entries}
    found |= {
        f"_mailbox_threads/{state.mailbox_id}.json": encode(state, pretty=True) for state in states
    }
    return found


async def all_collections(store: Store) -> list[str]:
    """The names of all collections."""
    names: list[str] = []
    after: str | None = None
    while True:
        page = await store.documents.collections(after=after, limit=2, now=0)
        names += page.items
        after = page.next_cursor
        if not page.has_more:
            return names


async def all_documents(store: Store) -> list[Document]:
    """All documents, those that have expired included, by collection and key."""
    found: list[Document] = []
    for collection in await all_collections(store):
        after: tuple[str, ...] | None = None
        while True:
            page = await store.documents.list(collection, after=after, limit=100, now=0)
            found += page.items
            after = page.next_cursor
            if not page.has_more:
                break
    return found


async def read_everything(store: Store, mailbox_ids: Iterable[str] = ()) -> dict[str, Any]:
    """All documents, parsed, in the order of their listings, and what else can be read.

    That is deltas, pages and counts, and, with `mailbox_ids`, what is read by the ids of these
    mailboxes, whether or not they exist. What can be read together is.
    """
    documents = await read_documents(store)
    found: dict[str, Any] = {path: json.loads(data) for path, data in documents.items()}
    found["listed"] = list(documents)
    threads = [(plain["id"], plain["_version"]) for plain in found.values() if "_version" in plain]
    found["documents"] = [to_plain(document) for document in await all_documents(store)]
    asked: dict[str, Query[Any]] = {"stats None": CountEntries()}
    for mailbox_id in mailbox_ids:
        asked[f"state {mailbox_id}"] = LoadMailbox(mailbox_id=mailbox_id)
        asked[f"stats {mailbox_id}"] = CountEntries(mailbox_id=mailbox_id)
    for thread_id, version in threads:
        asked |= _about(thread_id, version)
    answers = await store.read(*asked.values())
    return found | {what: _plain(each) for what, each in zip(asked, answers, strict=True)}


def _about(thread_id: str, version: int) -> dict[str, Query[Any]]:
    """What can be read about a thread beside its document."""
    versions = range(max(version - 3, 0), min(version + 1, LARGEST_TIME) + 1)
    return {
        f"summary {thread_id}": LoadThreadSummary(thread_id=thread_id),
        f"active run {thread_id}": FindActiveRun(thread_id=thread_id),
        f"last messages {thread_id}": ListMessages(
            thread_id=thread_id, limit=3, order="desc", visibility=None
        ),
        **{
            f"deltas {thread_id} after {after}": ListDeltas(
                thread_id=thread_id, after_version=after
            )
            for after in versions
        },
    }


def _plain(answer: Any) -> Any:
    """The JSON of an answer: None, a value, or a tuple of values."""
    if isinstance(answer, tuple):
        return [to_plain(each) for each in answer]
    return None if answer is None else to_plain(answer)


def without_uuids(plain: Any) -> Any:
    """JSON in which all claim tokens, and all ids that a store has made, are alike.

    So are the versions of documents, which depend on what else their handle has written.
    """
    return json.loads(_VERSION.sub(r"\1 1", _UUID.sub("uuid", json.dumps(plain))))
