"""Runs, as a user of a store sees them."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Literal

from treadle.backends.base import Backend
from treadle.clock import new_id
from treadle.core.codec import Json
from treadle.core.ids import check_id
from treadle.core.messages import Message
from treadle.core.pages import Order
from treadle.core.queries import as_optional_tuple, check_query
from treadle.core.run_commands import CheckRun, CountTokens, DeleteRun, EndWait, UpsertRun
from treadle.core.run_queries import (
    CountRuns,
    FindActiveRun,
    FoundRuns,
    ListRuns,
    LoadRun,
    RunKey,
    RunStats,
    SearchRuns,
)
from treadle.core.run_requests import (
    Answer,
    AnsweredRun,
    AnswerStatus,
    RequestedRun,
    RunRequest,
)
from treadle.core.runs import RunOrigin, RunPage, RunRecord, RunStatus
from treadle.core.usage import SumUsage, UsageKey, UsageReport
from treadle.errors import InvalidValue
from treadle.store.run_arguments import (
    check_flag,
    check_message,
    checked_answer,
    checked_answers,
    checked_request,
    checked_sender,
)
from treadle.store.run_requests import RunRequests
from treadle.store.writes import NewPlanned, NewWrite, Planned, Write


class RunWrites:
    """Writes to runs: awaited on the store, collected in a batch."""

    def __init__(self, write: NewWrite) -> None:
        self._write = write

    def upsert(self, run: RunRecord, *, now: int | None = None) -> Write[None]:
        """Insert or replace a run's record as a whole.

        Its times stay as they are, except those that are 0, which are set: `updated_at` to the
        present, and `created_at` to that of the known run, or to the present.

        Args:
            run: the record.
            now: the present in unix milliseconds; the default is the store's clock.

        Raises:
            InvalidId, InvalidValue: the record cannot be stored; the message says where.
        """
        return self._write(UpsertRun(run=run, now=now))

    def check(self, run_id: str, *, thread_id: str) -> Write[None]:
        """Let a batch commit only if no other thread has a run with this id.

        An append or an upsert of it would move the run's record to its thread.

        Raises:
            AlreadyExists: another thread has the run.
        """
        return self._write(CheckRun(run_id=run_id, thread_id=thread_id))

    def end_wait(
        self,
        run_id: str,
        *,
        status: Literal["running", "done"] = "done",
        termination_code: str | None = None,
        termination_detail: str | None = None,
        answered_by: str | None = None,
        entry_id: str | None = None,
        now: int | None = None,
    ) -> Write[RunRecord]:
        """End the wait of a run, once: in the batch that brings its answer, or that closes it.

        Of several calls that answer one run, one succeeds; none does after an interrupt.

        Args:
            run_id: which run.
            status: "done", or "running" if its entry goes on, such as after a pause. If that is
                accepted before anything updates the run, it is done then, with "answered".
            termination_code: why it is done, such as "answered".
            termination_detail: the same in words.
            answered_by: who has answered, for `RunRecord.answered_by`.
            entry_id: with "running", the entry that the run goes on with, which must not have
                ended.
            now: the present in unix milliseconds; the default is the store's clock.

        Returns:
            The record after that.

        Raises:
            NotFound: the run does not exist.
            RunConflict: it does not wait, or the entry has ended.
        """
        command = EndWait(
            run_id=run_id,
            status=status,
            termination_code=termination_code,
            termination_detail=termination_detail,
            answered_by=answered_by,
            entry_id=entry_id,
            now=now,
        )
        return self._write(command)

    def count_tokens(
        self,
        run_id: str,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        ends_run: bool = False,
        thread_id: str | None = None,
        now: int | None = None,
    ) -> Write[bool]:
        """Raise what a run has used to at least these tokens; nothing is lowered.

        It changes nothing else, so it may come when the run has been stopped.

        Args:
            run_id: which run.
            input_tokens: all tokens that the run has read so far.
            output_tokens: all tokens that it has written.
            ends_run: a run that is "running" is done with it; one that waits goes on waiting.
            thread_id: only if the run belongs to this thread; None: whichever it belongs to.
            now: the present in unix milliseconds; the default is the store's clock.

        Returns:
            Whether there is such a run.

        Raises:
            InvalidId, InvalidValue: there can be no such run, or no such count.
        """
        command = CountTokens(
            run_id=run_id,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            ends_run=ends_run,
            thread_id=thread_id,
            now=now,
        )
        return self._write(command)

    def delete(self, run_id: str) -> Write[bool]:
        """Delete a run's record. Returns whether it existed."""
        return self._write(DeleteRun(run_id=run_id))


class BatchRuns(RunWrites):
    """Writes to runs in a batch, and requests for runs that commit with it."""

    def __init__(self, write: NewWrite, plan: NewPlanned, runs: "Runs") -> None:
        super().__init__(write)
        self._plan = plan
        self._requests = runs._requests  # pyright: ignore[reportPrivateUsage] - of this module

    def request(
        self,
        request: RunRequest,
        /,
        *messages: Message,
        sender_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Planned[RequestedRun]:
        """Request a run in the commit of the batch, such as an agent that asks another one.

        When the block ends, it reads the store, and adds to the batch what `Runs.request` would
        commit. A run that was requested before adds nothing, so a handler that is tried again
        requests it once. If another process requests the run between the read and the commit, the
        batch fails, and its next try finds the request.

        Like a write, it need not be awaited: `requested = step.runs.request(…)` has
        `requested.result` after the block. Awaited, it reads at once, and gives its result in the
        block; in a handler that is a plain function, that is
        `delivery.call(step.runs.request(…))`.

        It does not see what the batch writes: leave it to this call to create the thread.

        Args:
            request: as for `Runs.request`.
            messages: as for `Runs.request`.
            sender_id: who asks, for the entry's `sender_id`.
            headers: as for `Runs.request`.

        Raises:
            AlreadyExists, NotWaiting, RunConflict: as for `Runs.request`, at the end of the block,
                or where it is awaited.
            InvalidId, InvalidValue: as for `Runs.request`.
        """
        wanted = checked_request(request)
        for number, message in enumerate(messages):
            check_message(message, f"request.messages[{number}]")
        sender = checked_sender(sender_id, headers, "request")
        return self._plan(partial(self._requests.plan, wanted, messages, sender))


class Runs(RunWrites):
    """Records of agents' executions."""

    def __init__(self, backend: Backend, write: NewWrite, requests: RunRequests) -> None:
        super().__init__(write)
        self._backend = backend
        self._requests = requests

    async def request(
        self,
        request: RunRequest,
        /,
        *messages: Message,
        removes_rest: bool = False,
        repeats_answers: bool = False,
        only_user: bool = False,
        sender_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RequestedRun:
        """Request a run: append messages, and send the request, in one commit.

        A worker does the run; see `treadle.worker.Turn`. A thread that does not exist is created.
        The entry in its mailbox has the id of the run. A request that comes again with this id
        writes nothing, as long as the entry is kept. So a caller that got no answer can repeat it.

        Args:
            request: the run, with an id that is its own; `message_ids` and `behind` are filled in.
                With `resume`, it answers runs of the thread that wait, and ends their waits; to
                answer one run, use `answer`.
            messages: what the caller has of the conversation. The thread gets those after the last
                one that it knows, of its last 200. Without new ones, the run is about the last one.
            removes_rest: remove from the thread what comes after the last of these messages, to
                have it answered again, however far back that one is. Runs that answer it, or have
                written what is removed, end as "superseded" in the same commit, whether they are
                queued, held or waiting.
            repeats_answers: leave out answers in `resume` that no run waits for. At least one must
                be left, or a message must be new.
            only_user: the messages come from a client that is not trusted, such as a browser. Of
                those that the thread lacks, it gets what a user says: texts and files of messages
                of the user. Those of the assistant, the system and tools are left out.
            sender_id: who asks, for the entry's `sender_id`.
            headers: texts by their names for the entry, such as the context of a trace; see
                `MailboxWrites.send`.

        Raises:
            AlreadyExists: another thread has the run, or an entry that does not request it has the
                id.
            NotWaiting: no run of the thread waits for an answer in `resume`.
            RunConflict: the run that an answer names does not wait.
            InvalidId, InvalidValue: the request or a message cannot be stored, or the thread has
                another owner than `resource_id`; the message says where.
        """
        wanted = checked_request(request)
        for number, message in enumerate(messages):
            check_message(message, f"request.messages[{number}]")
        check_flag(removes_rest, "request.removes_rest")
        check_flag(repeats_answers, "request.repeats_answers")
        check_flag(only_user, "request.only_user")
        sender = checked_sender(sender_id, headers, "request")
        return await self._requests.request(
            wanted,
            messages,
            removes_rest=removes_rest,
            repeats_answers=repeats_answers,
            only_user=only_user,
            sender=sender,
        )

    async def answer(
        self,
        run_id: str,
        payload: Json = None,
        *,
        status: AnswerStatus = "resolved",
        answers: Sequence[Answer] = (),
        message: Message | None = None,
        next_run_id: str | None = None,
        sender_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AnsweredRun:
        """Answer a run that waits, once, in one commit.

        How the answer comes to the agent depends on how the run waits:

        - A run whose turn has ended is done, and another run brings the answers: `Turn.answers`.
        - A run that has paused its mailbox goes on. If its entry is a `treadle.worker.RunRequest`,
          another one brings the answers, for `Turn.take`, and comes before what was sent meanwhile.
          Otherwise the thread gets a message.

        Args:
            run_id: the run that waits.
            payload: the answer to all that it asks; without one it is a plain yes, see
                `treadle.worker.Answer`.
            status: "resolved", or "cancelled" if there will be no answer.
            answers: instead of a payload, answers to single questions, by their ids. Each ends the
                wait of the run.
            message: what the thread gets with the answer. A run that looks for a message gets by
                default one of the user, with the payload as its text, or else as JSON. Without an
                id, it gets that of the run followed by `-answer`, and for a second answer by
                `-answer-2`.
            next_run_id: the id of the run that brings the answers, a new one by default. The same
                answer with the same id writes nothing.
            sender_id: who answers: `answered_by` of the run's record, and the `sender_id` of the
                entry of the run that brings the answers.
            headers: texts by their names for that entry, such as the context of a trace. An entry
                that goes on after a message has the headers that it was sent with.

        Raises:
            NotFound: the run does not exist.
            RunConflict: it does not wait: it was answered, cancelled or interrupted.
            AlreadyExists: something else has the id `next_run_id`.
            InvalidId, InvalidValue: the answer cannot be stored, or the run does not ask what it
                answers; the message says where.
        """
        check_id("run", run_id)
        every = checked_answer(
            Answer(interrupt_id=run_id, status=status, payload=payload), "answer"
        )
        given = checked_answers(answers)
        if given and payload is not None:
            raise InvalidValue("answer.answers", "give them or a payload, not both")
        if message is not None:
            check_message(message, "answer.message")
        sender = checked_sender(sender_id, headers, "answer")
        next_id = new_id() if next_run_id is None else check_id("run", next_run_id)
        return await self._requests.answer(run_id, given or every, message, next_id, sender)

    async def load(self, run_id: str) -> RunRecord | None:
        """Read a run; None if it does not exist.

        A run that was requested has no record until a worker begins it. Until then its entry, which
        has the run's id, says what is asked for and whether it waits: `Mailboxes.load_entry`,
        `RunRequest.of`, `Mailboxes.explain`.
        """
        return await self._backend.read(check_query(LoadRun(run_id=run_id), "load"))

    async def list(  # noqa: PLR0913
        self,
        *,
        offset: int = 0,
        limit: int = 50,
        thread_id: str | None = None,
        parent_run_id: str | None = None,
        status: RunStatus | None = None,
        origin: RunOrigin | None = None,
        termination_code: str | None = None,
        created_at_from: int | None = None,
        created_at_to: int | None = None,
        updated_at_from: int | None = None,
        updated_at_to: int | None = None,
    ) -> RunPage:
        """List the runs that match all filters, oldest first.

        For the newest runs, or those of an owner or an agent, take `search`, which has a cursor.

        `limit` is clamped to 1..200. Times are unix milliseconds, and their bounds are inclusive.
        """
        query = ListRuns(
            offset=offset,
            limit=limit,
            thread_id=thread_id,
            parent_run_id=parent_run_id,
            status=status,
            origin=origin,
            termination_code=termination_code,
            created_at_from=created_at_from,
            created_at_to=created_at_to,
            updated_at_from=updated_at_from,
            updated_at_to=updated_at_to,
        )
        return await self._backend.read(check_query(query, "list"))

    async def find_active(self, thread_id: str) -> RunRecord | None:
        """Return the newest run of a thread that is not done, or None."""
        query = FindActiveRun(thread_id=thread_id)
        return await self._backend.read(check_query(query, "find_active"))

    async def search(  # noqa: PLR0913
        self,
        *,
        by: RunKey = "created_at",
        order: Order = "desc",
        after: str | None = None,
        limit: int = 50,
        thread_id: str | None = None,
        resource_id: str | None = None,
        parent_run_id: str | None = None,
        agent_id: str | None = None,
        origin: RunOrigin | None = None,
        statuses: Collection[RunStatus] | None = None,
        asks: bool | None = None,
    ) -> FoundRuns:
        """List the runs that match all filters, newest first, in pages by a cursor.

        A page costs the same however many runs there are, except on files, which look at all of
        them. `agent_id`, `origin`, `asks` and the statuses of a thread's runs have no index: all
        that match the other filters are looked at, in order, until the page is full.
        `parent_run_id` has an index only by `created_at` and without an owner.

        Args:
            by: sort by `created_at` or `updated_at`; runs of one time are sorted by their ids.
            order: "desc" begins with the newest, "asc" with the oldest.
            after: `next_cursor` of the page before, which was read with the same `by`.
            limit: how many at most, clamped to 1..200.
            thread_id: only runs on this thread.
            resource_id: only runs on threads of this owner, as they are now.
            parent_run_id: only runs that this run has started.
            agent_id: only runs of this agent.
            origin: only runs that this kind of caller requested.
            statuses: only runs in one of these statuses.
            asks: only runs that wait, for an answer if it is True; for other work, such as other
                agents, if it is False.

        Raises:
            InvalidValue: `after` is not a cursor of a listing in this order.
        """
        query = SearchRuns(
            by=by,
            order=order,
            after=after,
            limit=limit,
            thread_id=thread_id,
            resource_id=resource_id,
            parent_run_id=parent_run_id,
            agent_id=agent_id,
            origin=origin,
            statuses=as_optional_tuple(statuses, "search.statuses"),
            asks=asks,
        )
        return await self._backend.read(check_query(query, "search"))

    async def count(
        self, *, thread_id: str | None = None, resource_id: str | None = None
    ) -> RunStats:
        """Count the runs in each status: of a thread, of an owner, or of all."""
        query = CountRuns(thread_id=thread_id, resource_id=resource_id)
        return await self._backend.read(check_query(query, "count"))

    async def usage(
        self,
        *,
        by: UsageKey,
        since: int | None = None,
        until: int | None = None,
        thread_id: str | None = None,
        resource_id: str | None = None,
        agent_id: str | None = None,
        limit: int | None = None,
    ) -> UsageReport:
        """Sum the tokens of the runs that match all filters.

        All runs of that time are read, or the newest `limit` of them: the cost grows with their
        number.

        Args:
            by: one sum for each "thread", "owner" (of the thread, as it is now), "agent" or "day"
                (in UTC, on which the run was created).
            since: only runs that were created at this time (unix ms) or later.
            until: only runs that were created before this time (unix ms).
            thread_id: only runs on this thread.
            resource_id: only runs on threads of this owner.
            agent_id: only runs of this agent.
            limit: how many runs of that time, thread and owner are looked at, the newest ones. If
                there may be others, `more` of the report is True.
        """
        query = SumUsage(
            by=by,
            since=since,
            until=until,
            thread_id=thread_id,
            resource_id=resource_id,
            agent_id=agent_id,
            limit=limit,
        )
        return await self._backend.read(check_query(query, "usage"))
