"""What happens in a store, found out by hints and reads."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from treadle.cli.commands.watch.happened import Happened, forget_oldest
from treadle.cli.commands.watch.mailbox_changes import MailboxChanges
from treadle.cli.terminal.tables import beginning
from treadle.cli.terminal.transcript import message_text
from treadle.clock import system_clock
from treadle.core.codec import Json, to_plain
from treadle.core.hints import Hint
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.mailboxes import UNFINISHED, MailboxEntry
from treadle.core.messages import Message
from treadle.core.runs import RunRecord
from treadle.core.thread_summaries import ThreadSummary
from treadle.core.threads import ThreadDelta
from treadle.errors import NotFound
from treadle.store.store import Store

_PAUSE_SECONDS = 0.05
"""How long hints are collected before the store is read."""
_PAGE = 100
"""How many entries of a mailbox are looked at: so many of the newest, and as many unfinished."""
_NEWEST = 10_000
"""How many of the newest entries are read at most, while all of them are new."""


class Watching:
    """Reads again what hints name, and yields what has changed since it was last read."""

    def __init__(self, store: Store, mailbox_id: str | None, thread_id: str | None) -> None:
        self._store = store
        self._mailbox_id = mailbox_id
        self._thread_id = thread_id
        self._is_filtered = mailbox_id is not None or thread_id is not None
        self._began = system_clock()
        self._entries: dict[str, MailboxEntry] = {}
        self._runs: dict[str, RunRecord] = {}
        self._versions: dict[str, int] = {}
        self._mailboxes = MailboxChanges(store)
        self._hints: dict[Hint, None] = {}
        self._news = asyncio.Event()

    async def run(self) -> AsyncIterator[Happened]:
        """Yield what happens, until the store is closed."""
        await self._begin()
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                await self._news.wait()
                await asyncio.sleep(_PAUSE_SECONDS)
                self._news.clear()
                hints, self._hints = self._hints, {}
                for hint in hints:
                    for happened in await self._look(hint):
                        yield happened
                if listening.done():
                    listening.result()
                    return
        finally:
            listening.cancel()

    async def _begin(self) -> None:
        """Note what there is, so that only what changes is shown."""
        await self._look_at_mailbox(self._mailbox_id)
        await self._mailboxes.begin(self._mailbox_id)
        if self._thread_id is not None:
            summary = await self._store.threads.summary(self._thread_id)
            if summary is not None:
                self._versions[self._thread_id] = summary.version

    async def _listen(self) -> None:
        try:
            async for hint in self._store.changes(
                thread_id=self._thread_id, mailbox_id=self._mailbox_id
            ):
                self._hints[hint] = None
                self._news.set()
        finally:
            self._news.set()

    async def _look(self, hint: Hint) -> list[Happened]:
        match hint.kind, hint.id:
            case "mailbox", str(mailbox_id):
                entries = await self._look_at_mailbox(mailbox_id)
                return entries + await self._mailboxes.look(mailbox_id)
            case "thread", str(thread_id):
                return await self._look_at_thread(thread_id)
            case "run", str(run_id):
                return await self._look_at_run(run_id)
            case "anything", _:
                return await self._look_at_all()
            case _:
                return []

    async def _look_at_all(self) -> list[Happened]:
        found: list[Happened] = []
        if self._mailbox_id is not None or not self._is_filtered:
            found += await self._look_at_mailbox(self._mailbox_id)
            found += await self._mailboxes.look_again()
        if self._thread_id is not None or not self._is_filtered:
            found += await self._look_at_threads()
        return found

    async def _look_at_threads(self) -> list[Happened]:
        """Look at the runs and threads that changed last: which ones did is not known."""
        found: list[Happened] = []
        runs = await self._store.runs.search(by="updated_at", thread_id=self._thread_id)
        for run in runs.items:
            if run.updated_at >= self._began:
                found += self._compare_run(run)
        if self._thread_id is not None:
            return found + await self._look_at_thread(self._thread_id)
        page = await self._store.threads.list_summaries(by="updated_at", order="desc")
        for summary in page.items:
            if (summary.metadata.updated_at or 0) >= self._began:
                found += await self._look_at_thread(summary.id)
        return sorted(found, key=lambda each: each.at)

    async def _look_at_mailbox(self, mailbox_id: str | None) -> list[Happened]:
        """Read the newest entries, those that have not ended, and those that had not."""
        mailboxes = self._store.mailboxes
        newest = await self._find_newest(mailbox_id)
        unfinished = await mailboxes.search_entries(
            mailbox_id=mailbox_id, statuses=UNFINISHED, order="asc", limit=_PAGE
        )
        seen = {entry.entry_id: entry for entry in (*newest, *unfinished.items)}
        unseen = [
            entry.entry_id
            for entry in self._entries.values()
            if entry.status in UNFINISHED
            and mailbox_id in (None, entry.mailbox_id)
            and entry.entry_id not in seen
        ]
        for first in range(0, len(unseen), _PAGE):
            ids = unseen[first : first + _PAGE]
            answers = await self._store.read(*(LoadEntry(entry_id=each) for each in ids))
            for entry_id, found in zip(ids, answers, strict=True):
                if found is None:
                    del self._entries[entry_id]
                else:
                    seen[entry_id] = found
        return self._compare(seen.values())

    async def _find_newest(self, mailbox_id: str | None) -> list[MailboxEntry]:
        """Read the newest entries: a page, and further ones while all on a page are new."""
        found: list[MailboxEntry] = []
        after: str | None = None
        while True:
            page = await self._store.mailboxes.search_entries(
                mailbox_id=mailbox_id, after=after, limit=_PAGE
            )
            found += page.items
            after = page.next_cursor
            if after is None or len(found) >= _NEWEST or not all(map(self._is_new, page.items)):
                return found

    def _is_new(self, entry: MailboxEntry) -> bool:
        return entry.entry_id not in self._entries and entry.created_at >= self._began

    def _compare(self, entries: Iterable[MailboxEntry]) -> list[Happened]:
        happened: list[Happened] = []
        for entry in sorted(entries, key=lambda each: (each.updated_at, each.entry_id)):
            before = self._entries.get(entry.entry_id)
            self._entries[entry.entry_id] = entry
            is_news = before is not None or entry.updated_at >= self._began
            if is_news and (before is None or _state_of(before) != _state_of(entry)):
                # Logs must not have the token: who has it may settle the entry.
                plain: Json = {"entry": to_plain(replace(entry, claim_token=None))}
                happened.append(Happened(entry.updated_at, _entry_text(entry), plain))
        forget_oldest(self._entries)
        return happened

    async def _look_at_run(self, run_id: str) -> list[Happened]:
        run = await self._store.runs.load(run_id)
        return [] if run is None else self._compare_run(run)

    def _compare_run(self, run: RunRecord) -> list[Happened]:
        if run == self._runs.get(run.run_id):
            return []
        self._runs[run.run_id] = run
        forget_oldest(self._runs)
        code = f" ({run.termination_code})" if run.termination_code else ""
        text = f"thread {run.thread_id}: run {run.run_id} is {run.status}{code}"
        return [Happened(run.updated_at, text, {"run": to_plain(run)})]

    async def _look_at_thread(self, thread_id: str) -> list[Happened]:
        summary = await self._store.threads.summary(thread_id)
        known = self._versions.get(thread_id)
        if summary is None:
            self._versions.pop(thread_id, None)
            if known is None and self._thread_id is not None:  # it has never existed
                return []
            plain: Json = {"thread": thread_id, "deleted": True}
            return [Happened(system_clock(), f"thread {thread_id} was deleted", plain)]
        self._versions[thread_id] = summary.version
        forget_oldest(self._versions)
        if summary.version == (known or 0):
            return []
        try:
            deltas = await self._list_deltas(summary, known)
        except NotFound:  # it was deleted between the two reads, and the next hint says so
            return []
        if deltas is None:
            at = summary.metadata.updated_at or system_clock()
            text = f"thread {thread_id} was replaced, at version {summary.version}"
            return [Happened(at, text, {"thread": thread_id, "replaced": summary.version})]
        return [_of_delta(thread_id, delta) for delta in deltas]

    async def _list_deltas(
        self, summary: ThreadSummary, known: int | None
    ) -> Sequence[ThreadDelta] | None:
        """Read the steps after a version; if it is not known, the last one and all since we began.

        Raises:
            NotFound: the thread was deleted meanwhile.
        """
        threads, last = self._store.threads, summary.version
        if known is not None:
            return await threads.list_deltas(summary.id, min(known, last))
        deltas = await threads.list_deltas(summary.id, max(last - _PAGE, 0))
        if deltas is None:  # a save has replaced the first of them
            return await threads.list_deltas(summary.id, last - 1)
        return [
            delta
            for delta in deltas
            if delta.version == last or (delta.committed_at or 0) >= self._began
        ]


def _state_of(entry: MailboxEntry) -> tuple[object, ...]:
    """What counts as a change: a renewed lease does not."""
    return entry.status, entry.attempt_count, entry.claim_token, entry.last_error


def _entry_text(entry: MailboxEntry) -> str:
    about = f"mailbox {entry.mailbox_id}: entry {entry.entry_id} is {entry.status}"
    match entry.status:
        case "claimed":
            return f"{about} by {entry.claimed_by}, attempt {entry.attempt_count}"
        case "queued" if entry.attempt_count:
            again = f"again after attempt {entry.attempt_count}, due in {_delay(entry)}"
            return f"{about} {again}: {_error(entry)}"
        case "queued":
            return f"{about}: {beginning(msgspec.json.encode(entry.payload).decode())}"
        case _:
            return f"{about}: {_error(entry)}" if entry.last_error else about


def _delay(entry: MailboxEntry) -> str:
    """Return how long after its last change an entry is due, in seconds."""
    return f"{max(entry.available_at - entry.updated_at, 0) / 1000:g} s"


def _error(entry: MailboxEntry) -> str:
    return beginning(entry.last_error or "no error", 200)


def _of_delta(thread_id: str, delta: ThreadDelta) -> Happened:
    said = ", ".join(map(_message_text, delta.changes.messages))
    if delta.changes.truncated_to is not None:
        said = f"truncated to {delta.changes.truncated_to} messages {said}".rstrip()
    text = f"thread {thread_id}, version {delta.version}: {said or 'no messages'}"
    plain: Json = {"thread": thread_id, "delta": to_plain(delta)}
    return Happened(delta.committed_at or system_clock(), text, plain)


def _message_text(message: Message) -> str:
    return f"{message.role}: {beginning(message_text(message), 200)}"
