"""Following a run that a client has requested, until it ends."""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AsyncExitStack, aclosing
from typing import cast

import msgspec

from treadle.core.codec import Json
from treadle.core.following import LiveValue
from treadle.core.json_patch import Edits
from treadle.core.limits import PAGE
from treadle.core.live import piece_in
from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.messages import Message
from treadle.core.patches import TrackedPatch
from treadle.core.patching import apply_in_slices
from treadle.core.run_queries import LoadRun
from treadle.core.run_requests import RequestedRun
from treadle.core.runs import RunRecord, asks_nobody
from treadle.core.thread_queries import ListDeltas, ListMessages, LoadThread
from treadle.core.thread_summaries import LoadThreadSummary, ThreadSummary
from treadle.core.threads import Thread, ThreadDelta
from treadle.core.turns import whole_of
from treadle.errors import NotFound, PatchError
from treadle.http._call import Call
from treadle.http._errors import failure_of
from treadle.http._event_stream import EventStream, count_stream, framed
from treadle.http._rebuilding import Rebuilding
from treadle.http._run_events import (
    Begun,
    Broken,
    Cancelled,
    Failed,
    Finished,
    Interrupted,
    MessagesAre,
    RunEvent,
    StateChanged,
    StateIs,
)
from treadle.http._thread_events import Item, live_values
from treadle.http._transcript import Transcript
from treadle.store.merging import merged
from treadle.worker import Interrupt


async def framed_run(
    events: AsyncGenerator[RunEvent | None], encode: Callable[[RunEvent], list[dict[str, Json]]]
) -> AsyncGenerator[bytes | None]:
    """Yield the events of a run, framed, in the words of a protocol."""
    async with aclosing(events):
        async for event in _guarded(events):
            if event is None:
                yield None
                continue
            for plain in encode(event):
                yield framed(msgspec.json.encode(plain))


async def _guarded(events: AsyncGenerator[RunEvent | None]) -> AsyncGenerator[RunEvent | None]:
    """Yield events; an error is the last one."""
    try:
        async for event in events:
            yield event
    except Exception as error:
        failure = failure_of(error)
        yield Broken(failure.message, failure.code)


async def stream_of_run(
    call: Call,
    stream: "RunStream",
    begin: Callable[[], Awaitable[AsyncGenerator[bytes | None]]],
    headers: Mapping[str, str] | None = None,
) -> EventStream:
    """Return the answer that streams a run, of which nothing is missed.

    Args:
        call: the call that is answered.
        stream: the run.
        begin: requests the run, and returns its framed events; it is called once `stream` listens.
        headers: further headers of the answer.

    Raises:
        Refused: there is no room for another stream; so nothing is requested.
    """
    async with count_stream(call) as stack:
        await stream.listen(stack)
        events = await begin()
        if call.streams.are_ended:
            # The run is requested. A client that were refused now would request another one.
            events = _first_of(events)
        return EventStream(call, events, stack.pop_all(), headers)


async def _first_of(events: AsyncGenerator[bytes | None]) -> AsyncGenerator[bytes | None]:
    """The first event, which says that the run has begun and names it."""
    async with aclosing(events):
        async for event in events:
            yield event
            return


class RunStream:
    """The events of a run, and of all that is said in its thread meanwhile.

    Args:
        call: the call that is answered.
        thread_id: the thread.
        run_id: the run.
        known: ids of messages that the client has.
    """

    def __init__(
        self, call: Call, thread_id: str, run_id: str, known: Iterable[str | None] = ()
    ) -> None:
        self._call = call
        self._thread_id = thread_id
        self._run_id = run_id
        self._entry_id = ""
        self._version = 0
        self._transcript = Transcript(each for each in known if each is not None)
        self._state = _State(call.rebuilding)
        self._live: AsyncGenerator[LiveValue] | None = None

    async def listen(self, stack: AsyncExitStack) -> None:
        """Begin to listen, before the run is requested, until the stack is closed."""
        self._live = await live_values(self._call, self._thread_id, stack)

    def of_request(self, asked: RequestedRun) -> AsyncGenerator[RunEvent | None]:
        """Return the events of a run that was requested, from its beginning."""
        if asked.was_known:
            return self.replayed(asked.entry_id)
        return self.events(asked.entry_id, asked.version)

    async def replayed(self, entry_id: str) -> AsyncGenerator[RunEvent | None]:
        """Yield what has happened in the run so far, and then as `events`.

        Args:
            entry_id: the entry that requests the run.
        """
        summary, page = await self._call.store.read(
            LoadThreadSummary(thread_id=self._thread_id),
            ListMessages(thread_id=self._thread_id, run_id=self._run_id, limit=PAGE),
        )
        self._require_own(summary)
        version = 0 if summary is None else summary.version
        said = [each.message for each in page.messages]
        events = self.events(
            entry_id,
            version,
            is_behind=page.has_more,
            said=() if page.has_more else said,
            has_state=not page.has_more and await self._has_changed_state(version),
        )
        async with aclosing(events):
            async for event in events:
                yield event

    async def _has_changed_state(self, version: int) -> bool:
        """Whether the run has changed the state in one of the last steps up to a version."""
        (deltas,) = await self._call.store.read(
            ListDeltas(thread_id=self._thread_id, after_version=max(version - PAGE, 0), limit=PAGE)
        )
        return any(
            delta.changes.run_id == self._run_id and _changes_state(delta) for delta in deltas or ()
        )

    async def events(
        self,
        entry_id: str,
        version: int,
        *,
        is_behind: bool = False,
        said: Iterable[Message] = (),
        has_state: bool = False,
    ) -> AsyncGenerator[RunEvent | None]:
        """Yield what happens, until the run ends; None when nothing has happened for long.

        Args:
            entry_id: the entry that requests the run.
            version: the version of the thread after which events come.
            is_behind: begin with all messages and the state.
            said: what the run has said before that.
            has_state: the state comes after that, as the run has changed it.
        """
        self._entry_id, self._version = entry_id, version
        self._transcript.is_wrong = is_behind
        yield Begun()
        for number, message in enumerate(said):
            for event in self._transcript.commit(message, f"0-{number}"):
                yield event
        if has_state:
            await self._load()
            self._state.is_due = True
            for event in self._state.news():
                yield event
        changes = self._call.store.changes(thread_id=self._thread_id, mailbox_id=self._thread_id)
        sources: list[AsyncGenerator[Item]] = [changes]
        if self._live is not None:
            sources.insert(0, self._live)  # a piece that came before its message is shown before it
        async with aclosing(merged(sources, self._call.limits.heartbeat_seconds)) as items:
            async for item in items:
                if isinstance(item, LiveValue):
                    piece = piece_in(item.value)
                    for event in () if piece is None else self._transcript.show(piece):
                        yield event
                    continue
                news = await self._news()
                for event in news:
                    yield event
                    if isinstance(event, Finished | Interrupted | Cancelled | Failed):
                        return
                if item is None and not news:
                    yield None

    async def _news(self) -> list[RunEvent]:
        """What has happened since the last look, and how the run has ended, if it has."""
        try:
            return await self._look()
        except NotFound:
            return [Failed("the thread was deleted", "deleted")]

    async def _look(self) -> list[RunEvent]:
        deltas, summary, entry, run, mailbox = await self._call.store.read(
            ListDeltas(thread_id=self._thread_id, after_version=self._version),
            LoadThreadSummary(thread_id=self._thread_id),
            LoadEntry(entry_id=self._entry_id),
            LoadRun(run_id=self._run_id),
            LoadMailbox(mailbox_id=self._thread_id),
        )
        self._require_own(summary)
        events: list[RunEvent] = []
        if deltas is None or self._transcript.is_wrong:
            events += await self._begin_again()
        for delta in deltas or ():
            if delta.version > self._version:
                self._version = delta.version
                events += self._said(delta)
                await self._change_state(delta)
        events += self._state.news()  # once, however many deltas there are
        run = await self._whole(run)
        end = _end_of(entry, run, mailbox, self._transcript.unanswered, self._run_id)
        if end is not None:
            events += self._transcript.end()
        if self._transcript.is_wrong:
            events += await self._begin_again()
        return events if end is None else [*events, end]

    async def _whole(self, run: RunRecord | None) -> RunRecord | None:
        """The run that a run became a part of, which ends as that does; or the run itself."""
        if run is None or (name := whole_of(run)) is None:
            return run
        (whole,) = await self._call.store.read(LoadRun(run_id=name))
        # any program may have written the record: nothing of another thread is shown
        return whole if whole is not None and whole.thread_id == self._thread_id else run

    def _require_own(self, thread: ThreadSummary | Thread | None) -> None:
        """Refuse a thread that is gone, or that has become another's."""
        own = self._call.principal.own
        if thread is None or own not in (None, thread.resource_id):
            raise NotFound("thread", self._thread_id)

    def _said(self, delta: ThreadDelta) -> Iterator[RunEvent]:
        if delta.changes.truncated_to is not None:
            self._transcript.is_wrong = True
        for number, message in enumerate(delta.changes.messages):
            yield from self._transcript.commit(message, f"{delta.version}-{number}")

    async def _change_state(self, delta: ThreadDelta) -> None:
        """Change the state as a delta says, if it says something about it."""
        if not _changes_state(delta):
            return
        if delta.changes.snapshot is None and not self._state.is_known:
            await self._load()
        if self._state.version < delta.version:
            await self._state.change(delta)
        self._state.is_due = True

    async def _begin_again(self) -> list[RunEvent]:
        """All messages and the state, as they are now."""
        messages = await self._load()
        self._version = max(self._version, self._state.version)
        self._transcript.forget(messages)
        shown = tuple(each for each in messages if each.visibility != "internal")
        self._state.is_due |= self._state.value is not None
        return [MessagesAre(shown), *self._state.news()]

    async def _load(self) -> tuple[Message, ...]:
        (head,) = await self._call.store.read(LoadThread(thread_id=self._thread_id))
        if head is None:
            raise NotFound("thread", self._thread_id)
        self._require_own(head.thread)
        thread = head.thread
        await self._state.set(thread.state, thread.patches, head.version)
        return tuple(
            message if message.id else msgspec.structs.replace(message, id=f"message-{position}")
            for position, message in enumerate(head.thread.messages)
        )


def _changes_state(delta: ThreadDelta) -> bool:
    return delta.changes.snapshot is not None or bool(delta.changes.patches)


class _State:
    """The state of the thread, which is loaded once and then follows the deltas.

    The client gets it as a whole, and from then on what patches change. Behind a patch that does
    not fit, it is not readable until a snapshot: clients get the messages.
    """

    def __init__(self, rebuilding: Rebuilding) -> None:
        self._rebuilding = rebuilding
        self.value: Json = None
        self.version = -1
        self.is_known = False
        self.is_readable = True
        self.is_due = False
        """Whether the client is to get it, if it does not have it."""
        self._is_shown = False
        """Whether the client has it, but for what `_edits` says."""
        self._edits = Edits()

    def news(self) -> list[RunEvent]:
        """Return what is new of the state for the client, once: nothing if it has the state."""
        edits, self._edits = self._edits.items, Edits()
        is_due, self.is_due = self.is_due, False
        if self._is_shown:
            return [StateChanged(self.value, edits)] if edits else []
        if not is_due or not self.is_readable:
            return []
        self._is_shown = True
        return [StateIs(self.value)]

    async def set(self, base: Json, patches: Iterable[TrackedPatch], version: int) -> None:
        before = msgspec.json.encode(self.value) if self._is_shown else None
        self.value, self.version, self.is_known, self.is_readable = base, version, True, True
        edits, self._edits = self._edits, Edits()
        await self._apply(patches)
        # It often comes as a whole with each answer, even if nothing of it has changed.
        if self.is_readable and before == msgspec.json.encode(self.value):
            self._edits = edits
        else:
            self._is_shown = False
            self.is_due |= before is not None

    async def change(self, delta: ThreadDelta) -> None:
        """Change the state as a delta says; the value is changed, and not copied."""
        changes = delta.changes
        if changes.snapshot is not None:
            await self.set(changes.snapshot, changes.patches, delta.version)
            return
        self.version = delta.version
        await self._apply(changes.patches, owned=True)

    async def _apply(self, patches: Iterable[TrackedPatch], *, owned: bool = False) -> None:
        if not self.is_readable:
            return
        applied = (each.patch for each in patches)
        edits = self._edits if owned and self._is_shown else None
        slices = apply_in_slices(self.value, applied, owned=owned, edits=edits)
        try:
            self.value = await self._rebuilding.completed(slices)
        except PatchError:
            self.value, self.is_readable, self._is_shown = None, False, False


def _end_of(
    entry: MailboxEntry | None,
    run: RunRecord | None,
    mailbox: MailboxState | None,
    unanswered: tuple[str, ...],
    run_id: str,
) -> RunEvent | None:
    """How the run has ended; None if it goes on."""
    status = "purged" if entry is None else entry.status
    is_done = run is not None and run.status == "done"
    if is_done and cast("RunRecord", run).termination_code in ("cancelled", "superseded"):
        return Cancelled()
    is_paused = mailbox is not None and mailbox.paused_at is not None
    is_over = status in ("accepted", "purged") or (status == "queued" and is_paused)
    if run is not None and run.status == "waiting" and is_over and not asks_nobody(run):
        question = None if mailbox is None else mailbox.pause_reason
        return Interrupted(Interrupt.asked_by(run) or (Interrupt(id=run_id, message=question),))
    match status:
        case "dead_letter":
            return Failed("the run has failed", "dead_letter")
        case "cancelled" | "superseded":
            return Cancelled()
        case "accepted":
            return Finished(unanswered)
        case "purged" if run is None and mailbox is None:  # deleted, and the run has not begun
            return Cancelled()
        case _:
            if is_done or status == "purged":
                return Finished(unanswered)
            return None
