"""Superseded runs: the runs about the last messages of a thread end, as others take their place."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from treadle.core.commands import TimedCommand
from treadle.core.ids import ThreadId
from treadle.core.limits import Length
from treadle.core.mailbox_pauses import without_pause
from treadle.core.mailboxes import MailboxEntry
from treadle.core.messages import StoredMessage
from treadle.core.read_set import ReadSet
from treadle.core.run_closing import ClosingRows, close_waiting, end
from treadle.core.run_requests import request_in
from treadle.core.threads import ThreadRows
from treadle.core.turns import run_of


class AskingRows(ThreadRows, ClosingRows, Protocol):
    """The rows that are needed to end the work of a thread."""


class SupersedeRuns(TimedCommand[tuple[MailboxEntry, ...]], frozen=True, kw_only=True):
    """Ends the work that is about the last messages of a thread. Result: the entries that it ends.

    These are the unfinished entries of the thread's mailbox that request a run with one of these
    messages or behind one, or whose run has written one. They are superseded, and their runs are
    closed. Runs that have written one and wait are closed, too, and the pause in which one of them
    waits ends. It changes nothing if the thread does not exist.
    """

    thread_id: ThreadId
    start: Length
    """The position of the first of these messages. If an agent has said that one, it has been
    answered, so of the runs about it only one that was requested after it ends."""
    reason: str
    keeps: tuple[str, ...] = ()
    """The ids of runs that stay as they are."""

    def touches(self, read_set: ReadSet) -> None:
        """The messages, the mailbox, its unfinished entries, their runs, and those that wait."""
        read_set.threads.add(self.thread_id)
        read_set.add_messages_from(self.thread_id, self.start)
        read_set.mailboxes.add(self.thread_id)
        read_set.unfinished.add(self.thread_id)
        read_set.runs_in.add(self.thread_id)
        read_set.waiting_runs_in.add(self.thread_id)

    def apply(self, rows: AskingRows, now: int) -> tuple[MailboxEntry, ...]:
        """End the entries and the runs."""
        if rows.threads.get(self.thread_id) is None:
            return ()
        found = rows.find_messages_from(self.thread_id, self.start)
        writers = self._writers(found)
        unfinished = sorted(rows.find_unfinished(self.thread_id), key=lambda each: each.entry_id)
        ends = [each for each in unfinished if self._is_about(rows, each, found, writers)]
        self._end_pause(rows, ends, now)
        ended = tuple(end(rows, entry, "superseded", self.reason, now) for entry in ends)
        close_waiting(rows, self.thread_id, self.reason, now, among=writers)
        return ended

    def _writers(self, found: Sequence[StoredMessage]) -> set[str]:
        """The runs whose messages they are."""
        own = found[1:] if _is_answer(found) else found
        names = {run_id for each in own if (run_id := run_of(each.message)) is not None}
        return names.difference(self.keeps)

    def _is_about(
        self,
        rows: AskingRows,
        entry: MailboxEntry,
        found: Sequence[StoredMessage],
        writers: Collection[str],
    ) -> bool:
        """Return whether an entry requests a run about one of the messages, or has written one."""
        if any(run.run_id in writers for run in rows.find_runs_of(entry)):
            return True
        request = request_in(entry)
        if request is None or request.run_id in self.keeps:
            return False
        if request.run_id in writers or request.behind in _ids_of(found):
            return True
        own = _ids_of(found[1:] if _is_answer(found) else found)
        return not own.isdisjoint(request.message_ids)

    def _end_pause(self, rows: AskingRows, ends: Iterable[MailboxEntry], now: int) -> None:
        """End the pause of the mailbox in which one of these entries waits for an answer."""
        state = rows.mailboxes.get(self.thread_id)
        if state is None or state.paused_at is None:
            return
        asking = {run.source_mailbox_entry_id for run in rows.find_waiting_runs(self.thread_id)}
        if any(entry.status == "queued" and entry.entry_id in asking for entry in ends):
            resumed = msgspec.structs.replace(without_pause(state), updated_at=now)
            rows.mailboxes.put(self.thread_id, resumed)


def _is_answer(found: Sequence[StoredMessage]) -> bool:
    return bool(found) and found[0].message.role == "assistant"


def _ids_of(found: Sequence[StoredMessage]) -> set[str]:
    return {each.message.id for each in found if each.message.id is not None}
