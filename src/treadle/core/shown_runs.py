"""The runs of which a stream has shown something, until their turns end.

A turn that is stopped, cancelled or given up writes nothing to its thread. So a stream remembers
whose pieces and changes it has shown, and looks at those runs only: none costs nothing.
"""

from collections.abc import Sequence
from typing import Any

from treadle.core.codec import Json
from treadle.core.following import RunEnded
from treadle.core.ids import is_id
from treadle.core.live import piece_in
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.mailboxes import MailboxEntry, is_terminal
from treadle.core.queries import Query
from treadle.core.run_queries import LoadRun
from treadle.core.runs import RunRecord
from treadle.core.threads import ThreadDelta

MOST_SHOWN = 50
"""How many runs of a thread are remembered, the newest; anybody may publish pieces of runs."""


class ShownRuns:
    """The runs of a thread that are shown and have not ended, as far as the stream knows."""

    def __init__(self, thread_id: str) -> None:
        self._thread_id = thread_id
        self._open: dict[str, None] = {}
        self._asked: tuple[str, ...] = ()

    def note_live(self, value: Json) -> None:
        """Remember whose piece a live value is, if it is one."""
        piece = piece_in(value)
        if piece is not None and is_id(piece.run_id):
            self._remember(piece.run_id)

    def note_delta(self, delta: ThreadDelta) -> RunEnded | None:
        """Remember the run of a delta, or return that its turn has ended."""
        run_id, meta = delta.changes.run_id, delta.changes.run_meta
        if not run_id or meta is None:
            return None
        if meta.status == "running":
            self._remember(run_id)
            return None
        self._open.pop(run_id, None)
        return RunEnded(run_id=run_id, status=meta.status, termination_code=meta.termination_code)

    def __len__(self) -> int:
        return len(self._open)

    def queries(self) -> tuple[Query[Any], ...]:
        """What has to be read to learn which of the runs have ended: nothing if none is shown."""
        # Further runs may be shown before the answers are there.
        self._asked = tuple(self._open)
        runs = [LoadRun(run_id=each) for each in self._asked]
        return (*runs, *(LoadEntry(entry_id=each) for each in self._asked))

    def ended(self, answers: Sequence[Any]) -> list[RunEnded]:
        """Return the turns that have ended, each once, by the answers to the last `queries`.

        Note the deltas of the same snapshot before: they may say it, too.
        """
        if not answers:
            return []
        count = len(self._asked)
        found: list[RunEnded] = []
        for run_id, run, entry in zip(self._asked, answers[:count], answers[count:], strict=True):
            end = self._end_of(run_id, run, entry)
            if end is not None and run_id in self._open:
                del self._open[run_id]
                found.append(end)
        return found

    def _end_of(
        self, run_id: str, run: RunRecord | None, entry: MailboxEntry | None
    ) -> RunEnded | None:
        if run is not None and run.thread_id == self._thread_id:
            if run.status == "running":
                return None
            return RunEnded(run_id=run_id, status=run.status, termination_code=run.termination_code)
        # A turn that was stopped before its record was written has the entry with its id.
        if run is not None or entry is None or entry.mailbox_id != self._thread_id:
            return None
        if not is_terminal(entry):
            return None
        code = None if entry.status == "accepted" else entry.status
        return RunEnded(run_id=run_id, status="done", termination_code=code)

    def _remember(self, run_id: str) -> None:
        self._open.pop(run_id, None)
        self._open[run_id] = None
        if len(self._open) > MOST_SHOWN:
            del self._open[next(iter(self._open))]
