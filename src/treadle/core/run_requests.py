"""Requests for runs, the questions of runs to people, and the answers."""

from typing import Literal

import msgspec

from treadle.core.codec import Json, Model, always_encoded, from_plain
from treadle.core.ids import EntryId, RunId, ThreadId, check_ids
from treadle.core.limits import Version
from treadle.core.mailboxes import MailboxEntry
from treadle.core.runs import RunOrigin, RunRecord
from treadle.errors import InvalidId, InvalidValue

AnswerStatus = Literal["resolved", "cancelled"]
"""How a question was answered; "cancelled" if nobody is going to."""


class Answer(Model, frozen=True, kw_only=True):
    """The answer to an interrupt of an earlier run."""

    interrupt_id: str
    status: str = always_encoded("resolved")
    """"resolved" or "cancelled"; the first does not mean yes, see `approved`."""
    payload: Json = None
    """The answer: {"approved": false} from a person who declines in the dashboard or the AI SDK."""
    run_id: RunId | None = None
    """The run that asked; None: whichever run of the thread waits for it."""

    @property
    def approved(self) -> bool:
        """Whether it is a plain yes: "resolved", with {"approved": true}, true or no payload.

        Nothing else is an approval, not even an answer in other words: read those in `payload`.
        """
        if self.status != "resolved":
            return False
        payload = self.payload
        said = payload.get("approved") if isinstance(payload, dict) else payload
        return payload is None or said is True


class Interrupt(Model, frozen=True, kw_only=True):
    """What a run needs from a person before it can go on; the names are those of AG-UI in JSON."""

    id: str
    reason: str = always_encoded("input_required")
    """Why, in a word, such as "tool_call" or "confirmation"."""
    message: str | None = None
    """The question."""
    tool_call_id: str | None = msgspec.field(default=None, name="toolCallId")
    """The tool call that may or may not be made."""
    response_schema: Json = msgspec.field(default=None, name="responseSchema")
    """The JSON schema of the answer."""

    @classmethod
    def asked_by(cls, run: RunRecord) -> "tuple[Interrupt, ...]":
        """Return what a run needs, as `Turn.changes` has written it; empty if it names nothing.

        Agents may write it themselves. What has no id is left out, and of an interrupt that cannot
        be read otherwise, only the id and the question are kept: the run can still be answered. A
        question that is no text is given as JSON, as nobody should answer one that is not shown.
        """
        metadata = run.metadata if isinstance(run.metadata, dict) else {}
        given = metadata.get("interrupts")
        if not isinstance(given, list):
            return ()
        return tuple(each for each in map(_interrupt_in, given) if each is not None)


def _interrupt_in(given: Json) -> Interrupt | None:
    if not isinstance(given, dict) or not isinstance(name := given.get("id"), str):
        return None
    question = given.get("message")
    if question is not None and not isinstance(question, str):
        question = msgspec.json.encode(question).decode()
    try:
        return msgspec.convert({**given, "message": question}, type=Interrupt)
    except msgspec.ValidationError:
        return Interrupt(id=name, message=question)


class RunRequest(Model, frozen=True, kw_only=True):
    """The payload of an entry that requests a run. The messages are in the thread already.

    `Runs.request` sends it, as the HTTP API does, and `step.runs.request` in a batch of your own.
    By hand, append the messages, and
    `step.mailboxes.send(thread_id, RunRequest(…), entry_id=run_id)`. The entry has the id of the
    run, so the run can be cancelled by its id before it begins.
    """

    agent_id: str
    thread_id: ThreadId
    run_id: RunId
    parent_run_id: RunId | None = None
    parent_thread_id: ThreadId | None = None
    """The thread of the agent that has requested it, if one has."""
    resource_id: str | None = None
    """The owner of the thread."""
    origin: RunOrigin = always_encoded("user")
    state: Json = None
    """The state that the client has."""
    tools: tuple[Json, ...] = ()
    """The tools that the client has: the model may call them, and the client answers."""
    context: tuple[Json, ...] = ()
    forwarded_props: Json = None
    resume: tuple[Answer, ...] = ()
    """The answers to the interrupts of an earlier run; see `Turn.answers`."""
    message_ids: tuple[str, ...] = ()
    """The ids of the messages that came with it. Those of the user have the run's id, too."""
    behind: str | None = None
    """The last message that the thread had before it, if no message came with it."""

    @classmethod
    def of(cls, entry: MailboxEntry) -> "RunRequest":
        """Return the request that is the payload of an entry.

        Raises:
            InvalidValue: it is something else.
        """
        try:
            request = from_plain(cls, entry.payload)
            check_ids(request)
            return request
        except (msgspec.ValidationError, InvalidId) as error:
            raise InvalidValue("entry.payload", f"it requests no run: {error}") from error


def request_in(entry: MailboxEntry) -> RunRequest | None:
    """Return the request that is the payload of an entry, or None if it is something else."""
    try:
        return RunRequest.of(entry)
    except InvalidValue:
        return None


def record_of(request: RunRequest, entry_id: str) -> RunRecord:
    """Return the record of a requested run when its agent begins it.

    Args:
        request: the request.
        entry_id: the entry that has the request.
    """
    return RunRecord(
        run_id=request.run_id,
        thread_id=request.thread_id,
        agent_id=request.agent_id,
        parent_run_id=request.parent_run_id,
        parent_thread_id=request.parent_thread_id,
        origin=request.origin,
        source_mailbox_entry_id=entry_id,
    )


class RequestedRun(Model, frozen=True, kw_only=True):
    """A run that was requested."""

    run_id: RunId
    thread_id: ThreadId
    entry_id: EntryId
    """The entry of the thread's mailbox that requests it; it has the id of the run."""
    version: Version
    """The version of the thread before the run; `Threads.follow` shows the run from there. If the
    run was known, it is the present version."""
    was_known: bool = always_encoded(False)
    """It had been requested before: nothing was written."""
    is_behind: bool = always_encoded(False)
    """The thread has messages that were not among those given."""


class AnsweredRun(Model, frozen=True, kw_only=True):
    """A run whose wait was ended by an answer."""

    run: RunRecord
    """Its record now: "done" with the code "answered", or "running" if it goes on."""
    request: RequestedRun | None = None
    """The run that brings the answer; None if a message of the thread does."""
