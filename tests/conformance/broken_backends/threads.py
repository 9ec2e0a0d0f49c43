"""Backends that break the rules of threads and runs."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import Twisted, breaks
from treadle import Message, StoredMessage, ThreadChangeSet
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.commands import AnyCommand
from treadle.core.cursors import cursor_of
from treadle.core.limits import LARGEST_TIME, clamp_page
from treadle.core.restoring import RestoreRun
from treadle.core.run_commands import UpsertRun
from treadle.core.run_queries import FindActiveRun, ListRuns
from treadle.core.runs import RunRecord
from treadle.core.thread_commands import (
    AppendThread,
    CheckThread,
    DeleteThread,
    SaveThread,
    UpdateThread,
)
from treadle.core.thread_edits import ForkThread, TruncateThread
from treadle.core.thread_purge import PurgeThread
from treadle.core.thread_queries import ListDeltas, ListMessages, ListThreads
from treadle.core.thread_summaries import ListThreadSummaries, LoadThreadSummary
from treadle.core.threads import StoredThread, ThreadHead


@breaks(
    Guarantee.VERSIONS_WITHOUT_GAPS,
    "an append at another version is a conflict and changes nothing",
)
class Overwriting(Twisted):
    """Does not compare the expected version."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, expected=None) if isinstance(command, AppendThread) else command


@breaks(Guarantee.VERSIONS_WITHOUT_GAPS, "a guarded write at another version is a conflict")
class Unguarded(Twisted):
    """Saves, deletes and truncates whatever the version is."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, SaveThread | DeleteThread | TruncateThread):
            return replace(command, expected=None)
        return command


@breaks(Guarantee.ALL_OR_NOTHING, "a check that fails keeps its batch from taking effect")
class Unchecked(Twisted):
    """Does not compare the version that a check expects."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, CheckThread):
            return command
        stored = self.tables.threads.get(command.thread_id)
        return replace(command, expected=stored.head.version) if stored else command


@breaks(Guarantee.VERSIONS_WITHOUT_GAPS, "a thread that was changed since is not purged")
class Merciless(Twisted):
    """Purges a thread whenever it was changed."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, PurgeThread):
            return command
        return replace(command, changed_before=LARGEST_TIME)


@breaks(
    Guarantee.VERSIONS_WITHOUT_GAPS,
    "a save creates version 0 or replaces the thread at the next version",
)
class Restarting(Tables):
    """Begins at version 0 with every save."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, StoredThread) and row.history is None:
            row = replace(row, head=replace(row.head, version=0))
        super().put(table, key, row)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a message whose id the thread has is skipped")
class Doubling(Twisted):
    """Adds a message again whose id it has."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, AppendThread):
            return command
        messages = tuple(replace(m, id=f"{m.id}+") if m.id else m for m in command.changes.messages)
        return replace(command, changes=replace(command.changes, messages=messages))


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a snapshot replaces the state and clears")
class Hoarding(MemoryBackend):
    """Keeps the patches that a snapshot makes void."""

    async def read(self, query: Any) -> Any:
        head = await super().read(query)
        if not isinstance(head, ThreadHead) or head.version == 0:
            return head
        deltas = await super().read(ListDeltas(thread_id=query.thread_id, after_version=0)) or ()
        patches = [patch for delta in deltas for patch in delta.changes.patches]
        thread = replace(head.thread, patches=(*head.thread.patches, *patches))
        return replace(head, thread=thread)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a save drops the deltas before it")
class Remembering(MemoryBackend):
    """Tells of no change where it does not know."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        return answer or () if isinstance(query, ListDeltas) else answer


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a limit gives the first of the deltas")
class Newest(MemoryBackend):
    """Gives the last of the deltas."""

    async def read(self, query: Any) -> Any:
        if not isinstance(query, ListDeltas) or query.limit is None:
            return await super().read(query)
        answer = await super().read(replace(query, limit=None))
        return answer if answer is None else answer[-clamp_page(query.limit) :]


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a page of messages has: after a cursor")
class Inclusive(MemoryBackend):
    """Begins a page with the message that was named."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, ListMessages) and query.after is not None:
            query = replace(query, after=query.after - 1)
        return await super().read(query)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a page of threads has the total and says if more follow")
class Endless(MemoryBackend):
    """Says that more follow when the last page is full."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, ListThreads):
            return answer
        return replace(answer, has_more=len(answer.items) == query.limit)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "runs are listed: oldest first")
class Unsorted(MemoryBackend):
    """Lists the runs newest first."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, ListRuns):
            return answer
        return replace(answer, items=answer.items[::-1])


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "the first parent and source of a run are kept")
class LastWriter(Tables):
    """Lets the last writer of a parent win."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, RunRecord) and row.parent_run_id == "q1":
            row = replace(row, parent_run_id="q2")
        super().put(table, key, row)


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "the active run is the newest that is not done")
class Done(MemoryBackend):
    """Takes the newest run for the active one, done or not."""

    async def read(self, query: Any) -> Any:
        if not isinstance(query, FindActiveRun):
            return await super().read(query)
        page = await super().read(ListRuns(thread_id=query.thread_id, limit=200))
        return page.items[-1] if page.items else None


@breaks(
    Guarantee.RUNS_FOLLOW_THEIR_THREADS,
    "the later update decides between active runs that began at one time",
)
class Untimed(MemoryBackend):
    """Compares active runs that began at one time by their ids only."""

    async def read(self, query: Any) -> Any:
        if not isinstance(query, FindActiveRun):
            return await super().read(query)
        page = await super().read(ListRuns(thread_id=query.thread_id, limit=200))
        active = [run for run in page.items if run.status != "done"]
        return active[-1] if active else None


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "an empty snapshot replaces the state too")
class Falsy(Twisted):
    """Takes an empty snapshot for none."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, AppendThread) or command.changes.snapshot:
            return command
        return replace(command, changes=replace(command.changes, snapshot=None))


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a snapshot without patches clears the patches")
class Lingering(Tables):
    """Writes a thread's patches only where there are some."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.threads.get(key) if table == "threads" else None
        if isinstance(row, StoredThread) and before and not row.head.thread.patches:
            thread = replace(row.head.thread, patches=before.head.thread.patches)
            row = replace(row, head=replace(row.head, thread=thread))
        super().put(table, key, row)


@breaks(
    Guarantee.THREADS_ARE_WHAT_WAS_APPENDED,
    "a saved thread keeps nothing of the thread it replaces",
)
class Merging(Twisted):
    """Keeps the unknown fields of a thread that a save replaces."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, SaveThread):
            return command
        before = self.tables.threads.get(command.thread.id)
        extra = {} if before is None else before.head.thread.extra
        return replace(command, thread=replace(command.thread, extra=extra | command.thread.extra))


@breaks(
    Guarantee.THREADS_ARE_WHAT_WAS_APPENDED,
    "a thread recreated in one batch keeps nothing of the old one",
)
class Haunted(Tables):
    """Skips messages that a thread had before it was recreated in the same batch."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self._before.get(("threads", key)) if table == "threads" else None
        if isinstance(row, StoredThread) and isinstance(before, StoredThread):
            row = self._haunted(row, before)
        super().put(table, key, row)

    def _haunted(self, row: StoredThread, before: StoredThread) -> StoredThread:
        if row.origin is before.origin or row.history is None:
            return row
        known = {message.id for message in before.head.thread.messages if message.id}
        messages = tuple(m for m in row.head.thread.messages if m.id not in known)
        thread = replace(row.head.thread, messages=messages)
        return replace(row, head=replace(row.head, thread=thread))


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "a filtered page of runs has the total of its filter")
class Overcounting(MemoryBackend):
    """Counts all runs where some were asked for."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, ListRuns):
            return answer
        return replace(answer, total=len(self.tables.runs))


@breaks(
    Guarantee.RUNS_FOLLOW_THEIR_THREADS, "a later append replaces the whole record but its origins"
)
class Retentive(Tables):
    """Keeps the fields of a run that a later append leaves out."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.runs.get(key) if table == "runs" else None
        if isinstance(row, RunRecord) and before and row.termination_code is None:
            row = replace(row, termination_code=before.termination_code)
        super().put(table, key, row)


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "summaries are listed in their order in pages of any size")
class Untied(MemoryBackend):
    """Begins a page behind all threads of the time at which the last one ended."""

    async def read(self, query: Any) -> Any:
        if not isinstance(query, ListThreadSummaries) or query.by == "id":
            return await super().read(query)
        start = query.start()
        if start is not None:
            last = "\U0010ffff" * 50 if query.order == "asc" else "!"
            query = replace(query, after=cursor_of(replace(start, id=last)))
        return await super().read(query)


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "a run without times gets those of the clock")
class Ageless(Twisted):
    """Keeps the times of a run as they are given, though they are none."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return RestoreRun(run=command.run) if isinstance(command, UpsertRun) else command


@breaks(Guarantee.RUNS_FOLLOW_THEIR_THREADS, "a restored run keeps its times")
class Rejuvenating(Twisted):
    """Takes a copy of a run for a new one."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return UpsertRun(run=command.run) if isinstance(command, RestoreRun) else command


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "summaries are filtered in every order")
class Rootless(MemoryBackend):
    """Lists children among the roots."""

    async def read(self, query: Any) -> Any:
        if isinstance(query, ListThreadSummaries):
            query = replace(query, roots=False)
        return await super().read(query)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "updates keep the deltas")
class Forgetful(Tables):
    """Takes an update for a save: the deltas before it are unknown."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.threads.get(key) if table == "threads" else None
        if isinstance(row, StoredThread) and before and row.head.version == before.head.version:
            row = StoredThread(row.head)
        super().put(table, key, row)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "metadata is changed by a merge patch")
class Shallow(Twisted):
    """Replaces the objects inside metadata instead of merging them."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, UpdateThread) or command.metadata is UNSET:
            return command
        stored = self.tables.threads.get(command.thread_id)
        before = stored.head.thread.metadata.extra if stored else {}
        removed = {
            name: None
            for key, value in command.metadata.items()
            if isinstance(value, dict)
            for name in before.get(key) or {}
        }
        metadata = {
            key: removed | value if isinstance(value, dict) else value
            for key, value in command.metadata.items()
        }
        return replace(command, metadata=metadata)


@breaks(Guarantee.VERSIONS_WITHOUT_GAPS, "an update disturbs no append that expects a version")
class Counting(Tables):
    """Raises the version with each update."""

    def put(self, table: Any, key: str, row: Any) -> None:
        before = self.threads.get(key) if table == "threads" else None
        if isinstance(row, StoredThread) and before and row.head.version == before.head.version:
            row = replace(row, head=replace(row.head, version=row.head.version + 1))
        super().put(table, key, row)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a summary is the thread without its messages")
class Selective(MemoryBackend):
    """Leaves internal messages out of a summary's count."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, LoadThreadSummary) or answer is None:
            return answer
        messages = self.tables.threads[query.thread_id].head.thread.messages
        count = sum(message.visibility == "all" for message in messages)
        return replace(answer, message_count=count)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a removed message may be appended again")
class Resentful(Tables):
    """Skips a message whose id the thread once had."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str | None]] = set()

    def find_known_messages(self, thread_id: str, message_ids: Iterable[str]) -> set[str]:
        thread = self.threads[thread_id].head.thread
        self.seen.update((thread_id, message.id) for message in thread.messages)
        return {each for each in message_ids if (thread_id, each) in self.seen}

    def find_messages_from(self, thread_id: str, position: int) -> tuple[StoredMessage, ...]:
        self.find_known_messages(thread_id, ())
        return super().find_messages_from(thread_id, position)


@breaks(
    Guarantee.THREADS_ARE_WHAT_WAS_APPENDED,
    "earlier deltas show the messages that truncations removed",
)
class Censoring(MemoryBackend):
    """Leaves the messages out of deltas that are not in the thread."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if not isinstance(query, ListDeltas) or answer is None:
            return answer
        kept = self.tables.threads[query.thread_id].head.thread.messages
        return tuple(replace(delta, changes=_only(delta.changes, kept)) for delta in answer)


def _only(changes: ThreadChangeSet, kept: tuple[Message, ...]) -> ThreadChangeSet:
    return replace(changes, messages=tuple(each for each in changes.messages if each in kept))


@breaks(
    Guarantee.ALL_OR_NOTHING,
    "truncations of a batch see what was appended and cut off before",
)
class Foreseeing(Twisted):
    """Counts the messages that stay before it applies the batch."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, TruncateThread) or command.drop is None:
            return command
        stored = self.tables.threads.get(command.thread_id)
        if stored is None:
            return command
        return replace(command, keep=max(stored.message_count - command.drop, 0), drop=None)


@breaks(Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a truncation keeps state patches and runs")
class Radical(Tables):
    """Removes the patches with the messages."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, StoredThread) and row.history is not None:
            changes = row.history.delta.changes
            if changes.truncated_to is not None:
                thread = replace(row.head.thread, patches=())
                row = replace(row, head=replace(row.head, thread=thread))
        super().put(table, key, row)


@breaks(
    Guarantee.THREADS_ARE_WHAT_WAS_APPENDED, "a fork has the first messages and names its origin"
)
class Whole(Twisted):
    """Copies all messages into a fork."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        return replace(command, at=None) if isinstance(command, ForkThread) else command


@breaks(
    Guarantee.THREADS_ARE_WHAT_WAS_APPENDED,
    "an earlier fork needs a state unless there never was one",
)
class Guessing(Twisted):
    """Takes the state of the present for that of an earlier position."""

    def twist(self, command: AnyCommand) -> AnyCommand:
        if not isinstance(command, ForkThread) or command.state is not UNSET:
            return command
        stored = self.tables.threads.get(command.source)
        return replace(command, state=stored.head.thread.state) if stored else command


@breaks(
    Guarantee.THREADS_ARE_WHAT_WAS_APPENDED,
    "a save keeps the times of messages that it does not change",
)
class Timeless(Tables):
    """Gives all messages of a saved thread the time of the save."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, StoredThread) and row.history is None and row.head.version > 0:
            now = row.head.thread.metadata.updated_at
            times = (now,) * len(row.head.thread.messages)
            row = replace(row, head=replace(row.head, message_times=times))
        super().put(table, key, row)
