"""Written by `make twin` from `treadle.store.runs`: change that, not this."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from treadle.blocking._portal import Portal
from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.core.pages import Order
from treadle.core.run_queries import FoundRuns, RunKey, RunStats
from treadle.core.run_requests import Answer, AnsweredRun, AnswerStatus, RequestedRun, RunRequest
from treadle.core.runs import RunOrigin, RunPage, RunRecord, RunStatus
from treadle.core.usage import UsageKey, UsageReport
from treadle.store import runs as original


class RunWrites:
    """Writes to runs: done at once."""

    def __init__(self, writes: original.RunWrites, portal: Portal) -> None:
        self._portal = portal
        self._writes = writes

    def upsert(self, run: RunRecord, *, now: int | None = None) -> None:
        """Insert or replace a run's record as a whole.

        Its times stay as they are, except those that are 0, which are set: `updated_at` to the
        present, and `created_at` to that of the known run, or to the present.

        Args:
            run: the record.
            now: the present in unix milliseconds; the default is the store's clock.

        Raises:
            InvalidId, InvalidValue: the record cannot be stored; the message says where.
        """
        return self._portal.call(self._writes.upsert(run, now=now))

    def check(self, run_id: str, *, thread_id: str) -> None:
        """Let a batch commit only if no other thread has a run with this id.

        An append or an upsert of it would move the run's record to its thread.

        Raises:
            AlreadyExists: another thread has the run.
        """
        return self._portal.call(self._writes.check(run_id, thread_id=thread_id))

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
    ) -> RunRecord:
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
        return self._portal.call(
            self._writes.end_wait(
                run_id,
                status=status,
                termination_code=termination_code,
                termination_detail=termination_detail,
                answered_by=answered_by,
                entry_id=entry_id,
                now=now,
            )
        )

    def count_tokens(
        self,
        run_id: str,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        ends_run: bool = False,
        thread_id: str | None = None,
        now: int | None = None,
    ) -> bool:
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
        return self._portal.call(
            self._writes.count_tokens(
                run_id,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                ends_run=ends_run,
                thread_id=thread_id,
                now=now,
            )
        )

    def delete(self, run_id: str) -> bool:
        """Delete a run's record. Returns whether it existed."""
        return self._portal.call(self._writes.delete(run_id))


class Runs(RunWrites):
    """Records of agents' executions."""

    def __init__(self, reads: original.Runs, portal: Portal) -> None:
        super().__init__(reads, portal)
        self._reads = reads

    def request(
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
        return self._portal.call(
            self._reads.request(
                request,
                *messages,
                removes_rest=removes_rest,
                repeats_answers=repeats_answers,
                only_user=only_user,
                sender_id=sender_id,
                headers=headers,
            )
        )

    def answer(
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
        return self._portal.call(
            self._reads.answer(
                run_id,
                payload,
                status=status,
                answers=answers,
                message=message,
                next_run_id=next_run_id,
                sender_id=sender_id,
                headers=headers,
            )
        )

    def load(self, run_id: str) -> RunRecord | None:
        """Read a run; None if it does not exist.

        A run that was requested has no record until a worker begins it. Until then its entry, which
        has the run's id, says what is asked for and whether it waits: `Mailboxes.load_entry`,
        `RunRequest.of`, `Mailboxes.explain`.
        """
        return self._portal.call(self._reads.load(run_id))

    def list(
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
        return self._portal.call(
            self._reads.list(
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
        )

    def find_active(self, thread_id: str) -> RunRecord | None:
        """Return the newest run of a thread that is not done, or None."""
        return self._portal.call(self._reads.find_active(thread_id))

    def search(
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
        return self._portal.call(
            self._reads.search(
                by=by,
                order=order,
                after=after,
                limit=limit,
                thread_id=thread_id,
                resource_id=resource_id,
                parent_run_id=parent_run_id,
                agent_id=agent_id,
                origin=origin,
                statuses=statuses,
                asks=asks,
            )
        )

    def count(self, *, thread_id: str | None = None, resource_id: str | None = None) -> RunStats:
        """Count the runs in each status: of a thread, of an owner, or of all."""
        return self._portal.call(self._reads.count(thread_id=thread_id, resource_id=resource_id))

    def usage(
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
        return self._portal.call(
            self._reads.usage(
                by=by,
                since=since,
                until=until,
                thread_id=thread_id,
                resource_id=resource_id,
                agent_id=agent_id,
                limit=limit,
            )
        )
