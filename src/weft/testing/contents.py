"""Everything a store holds, read through the façade, as the documents the files backend writes."""

import json
from collections.abc import Iterable
from typing import Any

from weft import RunRecord, Store, encode
from weft.core.codec import to_plain
from weft.core.mailboxes import MailboxEntry

Documents = dict[str, bytes]
"""Relative path of a document → its bytes."""


async def all_thread_ids(store: Store) -> list[str]:
    """The ids of all threads."""
    found: list[str] = []
    while True:
        page = await store.threads.list(offset=len(found), limit=200)
        found += page.items
        if not page.has_more:
            return found


async def all_runs(store: Store) -> list[RunRecord]:
    """All runs, oldest first."""
    found: list[RunRecord] = []
    while True:
        page = await store.runs.list(offset=len(found), limit=200)
        found += page.items
        if not page.has_more:
            return found


async def all_entries(store: Store) -> list[MailboxEntry]:
    """All mailbox entries, oldest first."""
    found: list[MailboxEntry] = []
    while True:
        page = await store.mailboxes.list(offset=len(found), limit=200)
        found += page.items
        if not page.has_more:
            return found


async def read_documents(store: Store, mailbox_ids: Iterable[str] = ()) -> Documents:
    """All documents; a mailbox without entries is found only if it is among `mailbox_ids`."""
    found: Documents = {}
    for thread_id in await all_thread_ids(store):
        head = await store.threads.load(thread_id)
        assert head is not None
        version = b'{\n  "_version": %d,\n' % head.version
        found[f"{thread_id}.json"] = encode(head.thread).replace(b"{\n", version, 1)
    for run in await all_runs(store):
        found[f"_runs/{run.run_id}.json"] = encode(run)
    entries = await all_entries(store)
    for entry in entries:
        found[f"_mailbox/{entry.entry_id}.json"] = encode(entry)
    for mailbox_id in {*mailbox_ids, *(entry.mailbox_id for entry in entries)}:
        state = await store.mailboxes.load_state(mailbox_id)
        if state is not None:
            found[f"_mailbox_threads/{mailbox_id}.json"] = encode(state)
    return found


async def read_everything(store: Store, mailbox_ids: Iterable[str] = ()) -> dict[str, Any]:
    """All documents, parsed, and what else can be read: deltas, pages, counts."""
    mailbox_ids = sorted(mailbox_ids)
    documents = await read_documents(store, mailbox_ids)
    found: dict[str, Any] = {path: json.loads(data) for path, data in documents.items()}
    found["threads"] = await all_thread_ids(store)
    found["runs"] = [run.run_id for run in await all_runs(store)]
    found["entries"] = [entry.entry_id for entry in await all_entries(store)]
    found["stats"] = to_plain(await store.mailboxes.stats())
    for mailbox_id in mailbox_ids:
        found[f"stats {mailbox_id}"] = to_plain(await store.mailboxes.stats(mailbox_id))
    for thread_id in found["threads"]:
        version = found[f"{thread_id}.json"]["_version"]
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
