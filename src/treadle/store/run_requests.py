"""Requesting a run, and answering one that waits: each is one batch.

The messages of a request are what its sender has of the conversation. The thread gets those that it
lacks, and the request names them.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from treadle.backends.base import Backend
from treadle.core.codec import to_plain
from treadle.core.commands import Command, Commands, Receipt
from treadle.core.mailbox_commands import Send
from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.mailboxes import MailboxEntry, MailboxState
from treadle.core.messages import Message, MessagePage
from treadle.core.queries import Query, Together
from treadle.core.run_commands import CheckRun
from treadle.core.run_messages import (
    answer_id,
    is_behind,
    last_answer,
    named,
    named_after,
    new_of,
    of_run,
    position_of_last,
    said_by_user,
    up_to,
    with_messages,
)
from treadle.core.run_queries import LoadRun, SearchRuns
from treadle.core.run_requests import Answer, AnsweredRun, RequestedRun, RunRequest, request_in
from treadle.core.run_waits import Wait, asked_ids, ends_of, is_answer_to, wait_of
from treadle.core.runs import RunRecord
from treadle.core.superseded_runs import SupersedeRuns
from treadle.core.thread_commands import AppendThread, CreateThread
from treadle.core.thread_edits import TruncateThread
from treadle.core.thread_queries import ListMessages
from treadle.core.thread_summaries import LoadThreadSummary, ThreadSummary
from treadle.core.threads import Thread, ThreadChangeSet
from treadle.errors import (
    AlreadyExists,
    InvalidValue,
    NotFound,
    NotWaiting,
    RunConflict,
    shorten,
)
from treadle.store.run_arguments import Sender

RECENT = 200
"""How many of the last messages of a thread are searched for those of a request."""
MOST_WAITING = 200
"""How many of the waiting runs of a thread are looked at, those that changed last."""
ATTEMPTS = 3
"""How often a request is tried while others write the same."""


class RunRequests:
    """Requests runs, and answers them.

    Args:
        backend: the store's.
        commit: commits a batch.
    """

    def __init__(self, backend: Backend, commit: Callable[[Commands], Awaitable[Receipt]]) -> None:
        self._backend = backend
        self._commit = commit

    async def request(
        self,
        wanted: RunRequest,
        messages: Sequence[Message],
        *,
        removes_rest: bool = False,
        repeats_answers: bool = False,
        only_user: bool = False,
        sender: Sender,
    ) -> RequestedRun:
        """Append what is new, and send the request, in one batch; see `Runs.request`.

        The entry has the id of the run, so that no two threads can request one run.

        Raises:
            InvalidValue: the thread has another owner than the request says, or a user says what
                is neither a text nor a file.
            AlreadyExists: another thread has the run, or an entry that requests no run has its id.
            NotWaiting: no run of the thread waits for one of the answers.
            RunConflict: the run that an answer names does not wait.
        """
        messages = named(messages, wanted.run_id)
        options = (removes_rest, repeats_answers, only_user, sender)
        for _ in range(ATTEMPTS - 1):
            with suppress(AlreadyExists, RunConflict, NotFound):  # somebody was faster: look again
                return await self._request(wanted, messages, *options)
        return await self._request(wanted, messages, *options)

    async def answer(
        self,
        run_id: str,
        answers: Answer | Sequence[Answer],
        message: Message | None,
        next_run_id: str,
        sender: Sender,
    ) -> AnsweredRun:
        """Answer a run that waits, in one batch.

        Args:
            run_id: the run.
            answers: the answers to some of its questions, or one for all of them.
            message: what the thread gets.
            next_run_id: the id of the run that brings the answers.
            sender: who answers, for the entry of that run.

        Raises:
            NotFound: there is no such run.
            RunConflict: it does not wait.
            InvalidValue: it does not ask what an answer answers.
            AlreadyExists: something else has the id `next_run_id`.
        """
        given = (run_id, answers, message, next_run_id, sender)
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._answer(*given)
            except RunConflict as conflict:
                if conflict.status != "waiting":
                    raise
                # Its entry has ended since it was read, so the answer takes another way.
        return await self._answer(*given)

    async def _answer(
        self,
        run_id: str,
        answers: Answer | Sequence[Answer],
        message: Message | None,
        next_run_id: str,
        sender: Sender,
    ) -> AnsweredRun:
        run, next_entry = await self._read(LoadRun(run_id=run_id), LoadEntry(entry_id=next_run_id))
        if run is None:
            raise NotFound("run", run_id)
        if next_entry is not None:
            return AnsweredRun(run=run, request=await self._answered_before(run, next_entry))
        if run.status != "waiting":
            raise RunConflict(run_id, run.status, run.termination_code)
        given = _answers_of(run, answers)
        [wait] = await self._waits(run.thread_id, [run])
        if not wait.takes_requests:
            said = message or Message(role="user", content=_text_of(given[0]))
            return AnsweredRun(run=await self._answer_by_message(run, wait, said, sender.id))
        wanted = RunRequest(
            agent_id=run.agent_id,
            thread_id=run.thread_id,
            run_id=next_run_id,
            parent_run_id=run_id,
            resume=given,
        )
        messages = [] if message is None else [message]
        asked = await self.request(wanted, messages, sender=sender)
        [now] = await self._read(LoadRun(run_id=run_id))
        return AnsweredRun(run=now or run, request=asked)

    # --- requests ---------------------------------------------------------------------------------

    async def plan(
        self, wanted: RunRequest, messages: Sequence[Message], sender: Sender
    ) -> tuple[RequestedRun, Commands]:
        """Return what requests a run, for a batch of the caller's; nothing if it was known.

        The commands fail together if somebody requests the run, or answers what it answers, before
        they are committed.

        Raises:
            InvalidValue, AlreadyExists, NotWaiting, RunConflict: as for `request`.
        """
        named_messages = named(messages, wanted.run_id)
        return await self._plan(
            wanted, named_messages, False, repeats_answers=False, only_user=False, sender=sender
        )

    async def _request(
        self,
        wanted: RunRequest,
        messages: Sequence[Message],
        removes_rest: bool,
        repeats_answers: bool,
        only_user: bool,
        sender: Sender,
    ) -> RequestedRun:
        asked, commands = await self._plan(
            wanted,
            messages,
            removes_rest,
            repeats_answers=repeats_answers,
            only_user=only_user,
            sender=sender,
        )
        if not commands:
            return asked
        receipt = await self._commit(commands)
        for command, result in zip(commands, receipt.results, strict=True):
            if isinstance(command, TruncateThread):
                # What others append meanwhile is shown, too; what was to be removed is not.
                return msgspec.structs.replace(asked, version=result.version)
        return asked

    async def _plan(
        self,
        wanted: RunRequest,
        messages: Sequence[Message],
        removes_rest: bool,
        *,
        repeats_answers: bool,
        only_user: bool,
        sender: Sender,
    ) -> tuple[RequestedRun, Commands]:
        thread_id = wanted.thread_id
        summary, earlier = await self._read(
            LoadThreadSummary(thread_id=thread_id), LoadEntry(entry_id=wanted.run_id)
        )
        if earlier is not None:
            _require_same(wanted, earlier)
        wanted = _owned(wanted, summary)
        page = MessagePage() if summary is None else await self._recent_messages(thread_id)
        asked = RequestedRun(
            run_id=wanted.run_id,
            thread_id=thread_id,
            entry_id=wanted.run_id,
            version=0 if summary is None else summary.version,
            was_known=earlier is not None,
            is_behind=is_behind(page, messages),
        )
        if earlier is not None:
            return asked, ()
        last: int | None = None
        if removes_rest:
            page, last = await self._up_to_last(thread_id, page, messages)
        unknown = new_of(page, messages)
        new = said_by_user(unknown) if only_user else unknown
        if len(new) < len(unknown):  # the client shows what the thread does not get
            asked = msgspec.structs.replace(asked, is_behind=True)
        answers, waits = await self._find_answered(wanted, repeats_answers, may_be_none=bool(new))
        wanted = msgspec.structs.replace(wanted, resume=answers)
        cuts = () if last is None else _cuts(wanted, last, waits)
        return asked, (
            CheckRun(run_id=wanted.run_id, thread_id=thread_id),
            *([_create(wanted)] if summary is None else cuts),
            *_append(thread_id, of_run(new, wanted.run_id)),
            *ends_of(thread_id, waits, sender.id),
            _send(with_messages(wanted, new, messages, page), sender, waits),
        )

    async def _find_answered(
        self, wanted: RunRequest, may_be_old: bool, *, may_be_none: bool
    ) -> tuple[tuple[Answer, ...], list[Wait]]:
        """Return the answers that runs of the thread wait for, and how these wait.

        Args:
            wanted: the request that brings the answers.
            may_be_old: leave out answers that no run waits for.
            may_be_none: leave them out even if none is left.

        Raises:
            NotWaiting: no run waits for one of them, and it is not left out.
            RunConflict: the run that an answer names does not wait.
        """
        if not wanted.resume:
            return (), []
        waiting = await self._waiting(wanted)
        known = tuple(
            each for each in wanted.resume if any(is_answer_to(each, run) for run in waiting)
        )
        missing = next((each for each in wanted.resume if each not in known), None)
        if missing is not None and not (may_be_old and (known or may_be_none)):
            raise NotWaiting(wanted.thread_id, missing.interrupt_id)
        runs = [run for run in waiting if any(is_answer_to(each, run) for each in known)]
        return known, await self._waits(wanted.thread_id, runs)

    async def _waiting(self, wanted: RunRequest) -> Sequence[RunRecord]:
        """The waiting runs of the thread, or those that the answers name."""
        names = {each.run_id for each in wanted.resume}
        if None in names:
            query = SearchRuns(
                thread_id=wanted.thread_id,
                statuses=("waiting",),
                by="updated_at",  # by `created_at`, a thread's runs have no index by status
                limit=MOST_WAITING,
            )
            return (await self._backend.read(query)).items
        found = await self._read(*(LoadRun(run_id=each) for each in names if each is not None))
        runs = [run for run in found if run is not None and run.thread_id == wanted.thread_id]
        for run in runs:
            if run.status != "waiting":
                raise RunConflict(run.run_id, run.status, run.termination_code)
        return runs

    async def _waits(self, thread_id: str, runs: Sequence[RunRecord]) -> list[Wait]:
        if not runs:
            return []
        ids = [run.source_mailbox_entry_id for run in runs if run.source_mailbox_entry_id]
        found: tuple[Any, ...] = await self._read(
            LoadMailbox(mailbox_id=thread_id), *(LoadEntry(entry_id=each) for each in ids)
        )
        mailbox: MailboxState | None = found[0]
        entries: dict[str, MailboxEntry] = {
            each.entry_id: each for each in found[1:] if each is not None
        }
        return [
            wait_of(run, mailbox, entries.get(run.source_mailbox_entry_id or "")) for run in runs
        ]

    # --- answers ----------------------------------------------------------------------------------

    async def _answered_before(self, run: RunRecord, entry: MailboxEntry) -> RequestedRun:
        """Return the request that has answered a run.

        Raises:
            AlreadyExists: the entry is something else.
        """
        request = request_in(entry)
        if request is None or all(each.run_id != run.run_id for each in request.resume):
            reason = f"it does not answer run {shorten(run.run_id)}; use another id"
            raise AlreadyExists("mailbox entry", entry.entry_id, reason)
        [summary] = await self._read(LoadThreadSummary(thread_id=request.thread_id))
        return RequestedRun(
            run_id=request.run_id,
            thread_id=request.thread_id,
            entry_id=entry.entry_id,
            version=0 if summary is None else summary.version,
            was_known=True,
        )

    async def _answer_by_message(
        self, run: RunRecord, wait: Wait, message: Message, sender_id: str | None
    ) -> RunRecord:
        """Append the answer, where the agent of a run that goes on looks for it."""
        said = named_after(await self._with_id(message, run), run.run_id)
        end, *others = ends_of(run.thread_id, [wait], sender_id)
        receipt = await self._commit((end, *_append(run.thread_id, [said]), *others))
        ended: RunRecord = receipt.results[0]
        return ended

    async def _with_id(self, message: Message, run: RunRecord) -> Message:
        """Return an answer with an id: a run may ask several times, and each answer counts."""
        if message.id is not None:
            return message
        page, number = MessagePage(has_more=True), 0
        while page.has_more and not number:
            page = await self._recent_messages(run.thread_id, page.next_cursor, run.run_id)
            number = last_answer(run.run_id, page)
        return msgspec.structs.replace(message, id=answer_id(run.run_id, number + 1))

    async def _up_to_last(
        self, thread_id: str, recent: MessagePage, messages: Sequence[Message]
    ) -> tuple[MessagePage, int | None]:
        """The messages up to the last of some, and its position; all recent ones without it."""
        page = recent
        while (last := position_of_last(page, messages)) is None:
            if not page.has_more or not messages:
                return recent, None
            page = await self._recent_messages(thread_id, page.next_cursor)
        return up_to(page, last), last

    async def _recent_messages(
        self, thread_id: str, before: int | None = None, run_id: str | None = None
    ) -> MessagePage:
        """The last messages of the thread, newest first, internal ones included.

        Args:
            thread_id: the thread.
            before: only those before this position.
            run_id: only those of this run.
        """
        query = ListMessages(
            thread_id=thread_id,
            before=before,
            run_id=run_id,
            limit=RECENT,
            order="desc",
            visibility=None,
        )
        return await self._backend.read(query)

    async def _read(self, *queries: Query[Any]) -> tuple[Any, ...]:
        return await self._backend.read(Together(queries=queries))


def _require_same(wanted: RunRequest, entry: MailboxEntry) -> None:
    """Raise `AlreadyExists` if the entry with the run's id does not request this run."""
    if entry.mailbox_id != wanted.thread_id:
        raise AlreadyExists("run", wanted.run_id, "another thread has it; use another id")
    asked = request_in(entry)
    if asked is None or asked.run_id != wanted.run_id:
        raise AlreadyExists("mailbox entry", wanted.run_id, "it requests no run; use another id")


def _owned(wanted: RunRequest, summary: ThreadSummary | None) -> RunRequest:
    """The request, with the owner of its thread.

    Raises:
        InvalidValue: it names another owner.
    """
    if summary is None:
        return wanted
    if wanted.resource_id not in (None, summary.resource_id):
        raise InvalidValue("request.resource_id", "the thread has another owner; leave it out")
    return msgspec.structs.replace(wanted, resource_id=summary.resource_id)


def _create(wanted: RunRequest) -> CreateThread:
    thread = Thread(
        id=wanted.thread_id,
        resource_id=wanted.resource_id,
        parent_thread_id=wanted.parent_thread_id,
    )
    return CreateThread(thread=thread)


def _cuts(wanted: RunRequest, last: int, waits: Sequence[Wait]) -> tuple[Command[Any], ...]:
    """Return what removes the messages behind a position, and ends the work about them.

    The runs that the request answers go on.
    """
    ends = SupersedeRuns(
        thread_id=wanted.thread_id,
        start=last,
        reason=f"asked again as run {shorten(wanted.run_id)}",
        keeps=tuple(wait.run_id for wait in waits),
    )
    return ends, TruncateThread(thread_id=wanted.thread_id, keep=last + 1)


def _append(thread_id: str, messages: Sequence[Message]) -> list[AppendThread]:
    if not messages:
        return []
    changes = ThreadChangeSet(messages=tuple(messages))
    return [AppendThread(thread_id=thread_id, changes=changes)]


def _send(wanted: RunRequest, sender: Sender, waits: Sequence[Wait]) -> Send:
    """The entry of a request; that of an answer follows the entry that goes on."""
    return Send(
        mailbox_id=wanted.thread_id,
        entry_id=wanted.run_id,
        payload=to_plain(wanted),
        headers=dict(sender.headers),
        sender_id=sender.id,
        follows=next((wait.entry_id for wait in waits if wait.entry_id is not None), None),
    )


# --- what is answered -----------------------------------------------------------------------------


def _answers_of(run: RunRecord, answers: Answer | Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers to a run, each with the id of the run.

    Raises:
        InvalidValue: it does not ask what one of them answers.
    """
    ids = asked_ids(run)
    if not ids:
        reason = f"run {shorten(run.run_id)} waits for other work and asks nothing; leave it"
        raise InvalidValue("answer.run_id", reason)
    if isinstance(answers, Answer):
        answers = [msgspec.structs.replace(answers, interrupt_id=each) for each in ids]
    for number, each in enumerate(answers):
        if each.interrupt_id not in ids:
            reason = (
                f"run {shorten(run.run_id)} does not ask it; it asks {', '.join(map(shorten, ids))}"
            )
            raise InvalidValue(f"answer.answers[{number}].interrupt_id", reason)
    return tuple(msgspec.structs.replace(each, run_id=run.run_id) for each in answers)


def _text_of(answer: Answer) -> str:
    """An answer as the text of a message."""
    if answer.payload is None:
        return answer.status
    if isinstance(answer.payload, str):
        return answer.payload
    return msgspec.json.encode(answer.payload).decode()
