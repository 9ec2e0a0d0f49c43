"""A turn: the run that an entry requests, as its handler sees it."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import msgspec

from treadle.core.codec import Json, checked, to_plain
from treadle.core.mailboxes import MailboxEntry
from treadle.core.messages import Message, MessageMetadata, ToolCall
from treadle.core.patches import TrackedPatch
from treadle.core.run_commands import CheckRun, CountTokens
from treadle.core.run_requests import Answer, Interrupt, RunRequest, record_of
from treadle.core.runs import RunMeta, RunStatus
from treadle.core.threads import ThreadChangeSet
from treadle.core.turns import MERGED, NO_RESULT, call_of, history_of, run_of, whole_of
from treadle.errors import InvalidValue, NotFound
from treadle.store.live import LiveMessage
from treadle.store.pages import every, every_by_cursor
from treadle.store.run_arguments import check_flag
from treadle.store.store import Store
from treadle.worker._decision import Reject
from treadle.worker._delivery import Delivery, leases_of, take_with_answers
from treadle.worker._shown_messages import KeptMessage, ShownMessages
from treadle.worker._turn_record import TurnRecord

_QuestionName: TypeAlias = tuple[str | None, str]
"""A question: the run that has asked it, if that is known, and its id."""


class Reply(NamedTuple):
    """An answer, and what it answers."""

    answer: Answer
    interrupt: Interrupt | None
    """The question. None if it is not known, or if the run has paused without one."""
    run_id: str | None
    """The run that has asked; None if it is not known."""
    call: ToolCall | None
    """The tool call that may be made or not; None if the question is about none."""
    result: Message | None
    """The result of the call, if an earlier attempt at this turn has committed it."""


class TakenRun(NamedTuple):
    """A run that has become a part of the turn that took it."""

    request: RunRequest
    """Its request."""
    messages: tuple[Message, ...]
    """The messages that came with it."""
    replies: tuple[Reply, ...]
    """The answers that came with it; see `Turn.answers`."""


class Turn:
    """The run that the entry of a delivery requests, for a handler that carries it out.

    All followers of the thread get the messages and the state that are appended to it, and before
    that the pieces of `message`. A client's stream of the run ends when the entry does. So
    does the run: if it is still "running" when the entry is accepted, it is done.

    If further entries of the delivery request runs, those become a part of this turn, and their
    records are `done` with the code `merged` when the delivery is accepted. An entry that requests
    no run becomes a dead letter then.

    Raises:
        Reject: the entry requests no run; it becomes a dead letter.
    """

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        request = _request_in(delivery.entry)
        if isinstance(request, InvalidValue):
            hint = "send a treadle.worker.RunRequest, or read the payload without Turn"
            raise Reject(f"{request}; {hint}")
        self._request = request
        self._taken: list[RunRequest] = []
        self._noted = 1
        """How many entries of the delivery are noted in `_taken`, the first one counted."""
        self._record = TurnRecord(delivery, request)
        self._shown = ShownMessages(delivery, request)
        leases_of(delivery)[0].check = CheckRun(run_id=request.run_id, thread_id=request.thread_id)
        self._note_taken()

    # --- what it is about -------------------------------------------------------------------------

    @property
    def request(self) -> RunRequest:
        """The request: the run, its thread and agent, and what came from the client."""
        return self._request

    async def history(self, *, no_result: str = NO_RESULT) -> list[Message]:
        """Return what the model reads: the thread's turns up to this one, as they are now.

        Each run is in one piece, and this one is the last, with the messages that came with it, and
        the runs that it answers or has taken. A later run that is not answered yet is left out: it
        gets a turn of its own. Each result follows its call; calls of other runs that have none get
        one that is not stored. See `treadle.turns.up_to`.

        It reads the whole thread.

        Args:
            no_result: the text of results that are missing.

        Raises:
            NotFound: the thread does not exist.
        """
        taken = self._note_taken()
        run_id = self.request.run_id
        whole = await self._merged()
        whole |= {each.run_id: run_id for each in taken}
        whole |= {
            asker: run_id
            for reply in await self._replies()
            if (asker := reply.run_id) is not None and asker != run_id
        }
        return history_of(
            run_id,
            await self._messages(),
            asked={name for each in (self.request, *taken) for name in each.message_ids},
            behind=self.request.behind,
            merged=whole,
            no_result=no_result,
        )

    async def answers(self) -> tuple[Reply, ...]:
        """Return the answers that this run brings, and those of the runs that it has taken.

        Each has the question that it answers and the tool call that this is about, even if others
        have written to the thread since. A call that has a `result` was made by an earlier attempt.

        Raises:
            NotFound: the thread does not exist.
        """
        return await self._with_calls(await self._replies())

    async def take(self, limit: int = 1) -> tuple[TakenRun, ...]:
        """Take further requested runs into this turn: at most `limit`, in their order.

        As `Delivery.take`, with their requests. If this run has paused, those that answer it
        come first, whatever was sent meanwhile, and all of them, even if they are more than
        `limit`. They come even at the last attempt, which takes nothing else. An entry that
        requests no run is left out; it becomes a dead letter when the delivery is accepted.

        Args:
            limit: how many entries at most.

        Raises:
            InvalidValue: `limit` is not an integer.
            ClaimConflict: a claim is lost, or all entries are settled.
            TimeoutError: the store did not answer before the lease ended.
        """
        before = len(self._note_taken())
        if not await take_with_answers(self._delivery, limit):
            return ()
        taken = self._note_taken()[before:]
        messages = await self._messages()
        return tuple([await self._as_run(each, messages) for each in taken])

    # --- what it says -----------------------------------------------------------------------------

    async def begin(self) -> None:
        """Write the run's record now, unless it exists, so that readers see that it has begun.

        The first piece of a `message` does this. Call it in a turn that shows nothing for long.
        From then on the run ends with its entry, however that ends. Another attempt at the entry
        goes on with the record.

        Raises:
            ClaimConflict: a claim is lost, or all entries are settled.
            TimeoutError: the store did not answer before the lease ended.
        """
        await self._record.begin()

    def count_tokens(self, *, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Add tokens that a call of the model has used; it may be called while they come.

        They are written with `changes`. If the turn is stopped or fails, they are written with its
        end, with the record of the run if that has none. Those of earlier attempts are in the sum
        if the run has begun: see `begin`.

        Args:
            input_tokens: how many more the model has read, 0 or more.
            output_tokens: how many more it has written, 0 or more.

        Raises:
            InvalidValue: a number is not an integer, or negative.
        """
        self._record.count(input_tokens, output_tokens)

    def message(self, *, keep_on_stop: bool = False) -> LiveMessage:
        """Begin a message that is shown while it is written, with a new id.

        The first piece begins the run's record, as `begin` does; that costs a turn one commit.

        Args:
            keep_on_stop: if an interrupt stops the turn, the worker appends the text that was
                shown, as a message of the run with the same id, once the handler has ended. It does
                not if the message is in the thread already, if the question has been removed, or if
                the run was cancelled or requested again.

        Raises:
            InvalidValue: `keep_on_stop` is not a boolean.
        """
        check_flag(keep_on_stop, "message.keep_on_stop")
        request = self.request
        new = Message.assistant("")
        kind = KeptMessage if keep_on_stop else LiveMessage
        message = kind(
            self._store.live,
            request.thread_id,
            new.id or "",
            request.run_id,
            after_first=self._record.show,
        )
        if isinstance(message, KeptMessage):
            self._shown.add(message)
        return message

    def changes(
        self,
        *messages: Message,
        status: RunStatus = "running",
        interrupts: Sequence[Interrupt] = (),
        asks: bool = True,
        patches: Sequence[TrackedPatch] = (),
        state: Json = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
    ) -> ThreadChangeSet:
        """Return the changes of the thread, with the run's record, to be appended in a batch.

        Args:
            messages: what was said; they get the id of the run.
            status: "done" with the last changes. "waiting" if the run needs an answer: then the
                client's next run brings it, for `answers`. A run that is still "running" when the
                entry is accepted is done in the same commit.
            interrupts: what a waiting run needs; without them it is answered by its id.
            asks: False if a waiting run waits for other agents and asks no person: it cannot be
                answered, and the dashboard does not show it as a question.
            patches: changes of the state.
            state: a new state, instead of the old one; None keeps it.
            input_tokens: all tokens that the run has read so far. None: those of `count_tokens`.
            output_tokens: all tokens that it has written.

        Raises:
            InvalidValue: an interrupt has a field of another type, such as a question that is no
                text; write it as JSON.
        """
        self._note_taken()
        read, written = self._record.tokens
        request = self.request
        meta = RunMeta(
            agent_id=request.agent_id,
            origin=request.origin,
            status=status,
            parent_thread_id=request.parent_thread_id,
            source_mailbox_entry_id=self._delivery.entry.entry_id,
            metadata=_metadata_of(status, interrupts, asks),
            input_tokens=read if input_tokens is None else input_tokens,
            output_tokens=written if output_tokens is None else output_tokens,
        )
        return ThreadChangeSet(
            run_id=request.run_id,
            parent_run_id=request.parent_run_id,
            run_meta=meta,
            reason="RunFinished" if status == "done" else "AssistantTurnCommitted",
            messages=[self._of_run(message) for message in messages],
            patches=patches,
            snapshot=state,
        )

    def _of_run(self, message: Message) -> Message:
        metadata = message.metadata or MessageMetadata()
        metadata = msgspec.structs.replace(metadata, run_id=self.request.run_id)
        return msgspec.structs.replace(message, metadata=metadata)

    # --- what was taken ---------------------------------------------------------------------------

    def _note_taken(self) -> list[RunRequest]:
        """Return the requests that were taken; let the runs of the new ones end with this one."""
        leases = leases_of(self._delivery)
        for lease in leases[self._noted :]:
            request = _request_in(lease.entry)
            if isinstance(request, InvalidValue):
                lease.refusal = str(request)
                continue
            self._taken.append(request)
            if request.run_id != self.request.run_id:
                lease.with_ack = (_merge(request, lease.entry_id, self.request.run_id),)
        self._noted = len(leases)
        return list(self._taken)

    async def _as_run(self, request: RunRequest, messages: Sequence[Message]) -> TakenRun:
        came = _that_came_with(request, messages)
        replies = await self._replies_in(request)
        return TakenRun(request, came, await self._with_calls(replies, messages))

    async def _merged(self) -> dict[str, str]:
        """The runs of the thread that became a part of others, and of which."""
        listing = partial(
            self._store.runs.list, thread_id=self.request.thread_id, termination_code=MERGED
        )
        return {run.run_id: whole async for run in every(listing) if (whole := whole_of(run))}

    # --- what it reads ----------------------------------------------------------------------------

    @property
    def _store(self) -> Store:
        return self._delivery.store

    async def _replies(self) -> list[Reply]:
        """All answers, with the questions and the runs that asked them."""
        replies = await self._replies_in(self.request, but_of=self.request.run_id)
        for each in self._note_taken():
            replies += await self._replies_in(each)
        return replies

    async def _replies_in(self, request: RunRequest, but_of: str | None = None) -> list[Reply]:
        """The answers of a request, with the newest questions of their ids, and who asked them.

        Args:
            request: it brings the answers.
            but_of: a run whose questions are not looked at.
        """
        if not request.resume:
            return []
        found = await self._find_questions(request.resume, but_of)
        replies: list[Reply] = []
        for answer in request.resume:
            interrupt, run_id = found.get((answer.run_id, answer.interrupt_id), (None, None))
            replies.append(Reply(answer, interrupt, run_id, call=None, result=None))
        return replies

    async def _find_questions(
        self, answers: Sequence[Answer], but_of: str | None
    ) -> dict[_QuestionName, tuple[Interrupt | None, str]]:
        """Return the known questions of answers, each with the run that asked it."""
        missing = {(answer.run_id, answer.interrupt_id) for answer in answers}
        found: dict[_QuestionName, tuple[Interrupt | None, str]] = {}
        listing = partial(self._store.runs.search, thread_id=self.request.thread_id)
        async for run in every_by_cursor(listing):
            if run.run_id == but_of:
                continue
            # a run that has paused without a question is asked by its id
            questions: dict[str, Interrupt | None] = {run.run_id: None}
            questions |= {each.id: each for each in Interrupt.asked_by(run)}
            for name in tuple(missing):
                asker, interrupt_id = name
                if asker in (None, run.run_id) and interrupt_id in questions:
                    found[name] = (questions[interrupt_id], run.run_id)
                    missing.remove(name)
            if not missing:
                break
        return found

    async def _with_calls(
        self, replies: Sequence[Reply], messages: Sequence[Message] | None = None
    ) -> tuple[Reply, ...]:
        if not replies:
            return ()
        said = await self._messages() if messages is None else messages
        return tuple(self._with_call(reply, said) for reply in replies)

    def _with_call(self, reply: Reply, messages: Sequence[Message]) -> Reply:
        call_id = reply.interrupt.tool_call_id if reply.interrupt is not None else None
        if reply.run_id is None or call_id is None:
            return reply
        found = call_of(reply.run_id, call_id, messages)
        if found is None:
            return reply
        call, result = found
        is_own = result is not None and run_of(result) == self.request.run_id
        return reply._replace(call=call, result=result if is_own else None)

    async def _messages(self) -> Sequence[Message]:
        """All messages of the thread."""
        head = await self._store.threads.load(self.request.thread_id)
        if head is None:
            raise NotFound("thread", self.request.thread_id)
        return head.thread.messages


def _metadata_of(status: RunStatus, interrupts: Sequence[Interrupt], asks: bool) -> Json:
    """What a run asks; None leaves what is there."""
    if not asks:
        return {"asks": False}
    if status != "waiting" and not interrupts:
        return None
    asked = [checked(each, f"interrupts[{place}]") for place, each in enumerate(interrupts)]
    return {"interrupts": list(map(to_plain, asked))}


def _request_in(entry: MailboxEntry) -> RunRequest | InvalidValue:
    """The request of an entry, or why it has none."""
    try:
        return RunRequest.of(entry)
    except InvalidValue as error:
        return error


def _that_came_with(request: RunRequest, messages: Iterable[Message]) -> tuple[Message, ...]:
    ids = frozenset(request.message_ids)
    return tuple(each for each in messages if each.id in ids or run_of(each) == request.run_id)


def _merge(request: RunRequest, entry_id: str, whole: str) -> CountTokens:
    """Return what merges a run; its tokens of earlier attempts stay."""
    return CountTokens(
        run_id=request.run_id,
        thread_id=request.thread_id,
        merged_into=whole,
        first=record_of(request, entry_id),
    )
