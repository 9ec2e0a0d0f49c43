"""Everything a store holds, read through the façade, as the documents the files backend writes."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar

from weft import MailboxEntry, MailboxState, RunRecord, Store, encode
from weft.core.codec import to_plain

Documents = dict[str, bytes]
"""Relative path of a document → its bytes."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
    return await _all(store.mailboxes.list)


async def all_states(store: Store) -> list[MailboxState]:
    """The states of all mailboxes."""
    return await _all(store.mailboxes.list_states)


async def read_documents(store: Store) -> Documents:
    """All documents."""
    found: Documents = {}
    for thread_id in await all_thread_ids(store):
        head = await store.threads.load(thread_id)
        assert head is not None, f"thread {thread_id!r} is listed, and not there"
        version = b'{\n  "_version": %d,\n' % head.version
        found[f"{thread_id}.json"] = encode(head.thread).replace(b"{\n", version, 1)
    for run in await all_runs(store):
        found[f"_runs/{run.run_id}.json"] = encode(run)
    for entry in await all_entries(store):
        found[f"_mailbox/{entry.entry_id}.json"] = encode(entry)
    for state in await all_states(store):
        found[f"_mailbox_threads/{state.mailbox_id}.json"] = encode(state)
    return found


async def read_everything(store: Store, mailbox_ids: Iterable[str] = ()) -> dict[str, Any]:
    """All documents, parsed, and what else can be read: deltas, pages, counts.

    With `mailbox_ids`, what is read by the ids of these mailboxes, too, if they are there or not.
    """
    documents = await read_documents(store)
    found: dict[str, Any] = {path: json.loads(data) for path, data in documents.items()}
    found["threads"] = await all_thread_ids(store)
    found["runs"] = [run.run_id for run in await all_runs(store)]
    found["entries"] = [entry.entry_id for entry in await all_entries(store)]
    found["stats"] = to_plain(await store.mailboxes.stats())
    for mailbox_id in sorted(mailbox_ids):
        found[f"stats {mailbox_id}"] = to_plain(await store.mailboxes.stats(mailbox_id))
        state = await store.mailboxes.load_state(mailbox_id)
        found[f"state {mailbox_id}"] = None if state is None else to_plain(state)
    for thread_id in found["threads"]:
        version = found[f"{thread_id}.json"]["_version"]
        found |= await _read_about(store, thread_id, version)
    return found


async def _read_about(store: Store, thread_id: str, version: int) -> dict[str, Any]:
    """What can be read about a thread beside its document."""
    found: dict[str, Any] = {}
    for after in range(max(version - 3, 0), version + 2):
        deltas = await store.threads.deltas(thread_id, after)
        plain = None if deltas is None else [to_plain(delta) for delta in deltas]
        found[f"deltas {thread_id} after {after}"] = plain
    page = await store.threads.messages(thread_id, limit=3, order="desc", visibility=None)
    found[f"last messages {thread_id}"] = to_plain(page)
    found[f"message count {thread_id}"] = await store.threads.message_count(thread_id)
    active = await store.runs.active(thread_id)
    found[f"active run {thread_id}"] = None if active is None else active.run_id
    return found


def without_uuids(plain: Any) -> Any:
    """JSON in which all claim tokens, and all ids that a store has made, are alike."""
    return json.loads(_UUID.sub("uuid", json.dumps(plain)))
