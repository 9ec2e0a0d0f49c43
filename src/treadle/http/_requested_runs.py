"""Runs that clients ask for: an entry of the thread's mailbox, which a worker claims."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from treadle.core.heads import LoadHead, ThreadSummary
from treadle.core.ids import check_ids
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.messages import Message, MessageMetadata, MessagePage
from treadle.core.threads import Thread, ThreadChangeSet
from treadle.errors import AlreadyExists, InvalidValue, NotFound, RunConflict
from treadle.http._answering import Answered, end_waits, find_answered
from treadle.http._call import Call
from treadle.http._owners import require_free_run, require_free_thread
from treadle.store.store import Store
from treadle.worker import RunRequest

RECENT = 200
"""How many of the last messages of a thread are looked at for what a client sends again."""

ATTEMPTS = 3
"""How often a request is tried while others write the same."""


class Requested(NamedTuple):
    """A run that was asked for."""

    entry_id: str
    version: int
    """The version of the thread behind which the run is."""
    was_known: bool
    """Whether it had been asked for before."""
    is_behind: bool
    """Whether the client lacks messages that were there before."""


def named(messages: Iterable[Message], run_id: str) -> list[Message]:
    """Return messages with ids: those that a run brings again are known by them."""
    return [
        message if message.id else msgspec.structs.replace(message, id=f"{run_id}-{number}")
        for number, message in enumerate(messages)
    ]


async def require_own_request(
    store: Store, own: str, thread_id: str, run_ids: Sequence[str | None]
) -> None:
    """Refuse a run on the thread of another, or with the id of another's run.

    Raises:
        NotFound: the thread or a run is another's.
        AlreadyExists: the thread is new, and something else has its id.
    """
    (head,) = await store.read(LoadHead(thread_id=thread_id))
    if head is None:
        await require_free_thread(store, thread_id)
    elif head.resource_id != own:
        raise NotFound("thread", thread_id)
    for run_id in run_ids:
        if run_id is not None:
            await require_free_run(store, run_id, own)


async def request(
    call: Call,
    wanted: RunRequest,
    messages: Sequence[Message],
    key: str,
    *,
    removes_rest: bool = False,
    repeats_answers: bool = False,
) -> Requested:
    """Append what the client says, and send the request, in one batch.

    The entry has the id of the run, so that no two threads can ask for one run.

    Args:
        call: the call.
        wanted: the request.
        messages: what the client has, with ids; the thread gets those behind the last that it
            knows.
        key: the same for the same request; a known one sends nothing.
        removes_rest: remove from the thread what comes behind the last of these messages.
        repeats_answers: the client may send its earlier answers again, which are left out. There
            must be one that a run waits for, or a new message.

    Raises:
        InvalidId: an id cannot be one.
        InvalidValue: the thread has another owner than the request says.
        NotFound: the thread is another's, which has just created it.
        AlreadyExists: another thread has the run.
        Refused: no run of the thread waits for one of the answers.
    """
    check_ids(wanted)
    options = {"removes_rest": removes_rest, "repeats_answers": repeats_answers}
    for _ in range(ATTEMPTS - 1):
        with suppress(AlreadyExists, RunConflict):  # somebody was faster: look again
            return await _request(call, wanted, messages, key, **options)
    return await _request(call, wanted, messages, key, **options)


async def _request(
    call: Call,
    wanted: RunRequest,
    messages: Sequence[Message],
    key: str,
    *,
    removes_rest: bool,
    repeats_answers: bool,
) -> Requested:
    thread_id = wanted.thread_id
    head, earlier = await call.store.read(
        LoadHead(thread_id=thread_id), LoadEntry(entry_id=wanted.run_id)
    )
    if earlier is not None and earlier.mailbox_id != thread_id:
        raise AlreadyExists("run", wanted.run_id, "another thread has it; use another id")
    wanted = _owned(call, wanted, head)
    page = MessagePage()
    if head is not None:
        page = await call.store.threads.list_messages(
            thread_id, limit=RECENT, order="desc", visibility=None
        )
    new = _news(page, messages)
    answered: list[Answered] = []
    if wanted.resume and (earlier is None or earlier.dedupe_key != key):
        answers, answered = await find_answered(
            call.store,
            thread_id,
            wanted.resume,
            may_be_old=repeats_answers,
            may_be_none=repeats_answers and bool(new),
        )
        wanted = msgspec.structs.replace(wanted, resume=answers)
    async with call.store.batch() as step:
        step.runs.check(wanted.run_id, thread_id=thread_id)
        if head is None:
            parent = wanted.parent_thread_id
            thread = Thread(id=thread_id, resource_id=wanted.resource_id, parent_thread_id=parent)
            step.threads.create(thread)
        removed = None
        if removes_rest and (last := _position(page, messages)) is not None:
            removed = step.threads.truncate(thread_id, keep=last + 1)
        if new:
            step.threads.append(thread_id, ThreadChangeSet(messages=_of_run(new, wanted.run_id)))
        end_waits(step, thread_id, answered)
        wanted = _with_messages(wanted, new or _asked_again(messages), page)
        sent = step.mailboxes.send(
            thread_id,
            wanted,
            dedupe_key=key,
            entry_id=wanted.run_id if earlier is None else None,
        )
    # What others append meanwhile is shown, too; what the client has asked to remove is not.
    version = 0 if head is None else head.version
    if removed is not None:
        version = removed.result.version
    return Requested(
        sent.result.entry.entry_id, version, sent.result.was_known, _is_behind(page, messages)
    )


def _owned(call: Call, wanted: RunRequest, head: ThreadSummary | None) -> RunRequest:
    """The request, with the owner of its thread.

    Raises:
        InvalidValue: the request says another.
        NotFound: the thread is another's.
    """
    own = call.principal.own
    if head is not None and own not in (None, head.resource_id):
        raise NotFound("thread", head.id)
    owner = _owner_of(wanted, own) if head is None else head.resource_id
    if wanted.resource_id not in (None, owner):
        raise InvalidValue("body.resourceId", "the thread has another owner; leave it out")
    return msgspec.structs.replace(wanted, resource_id=owner)


def _owner_of(wanted: RunRequest, own: str | None) -> str | None:
    """The owner of a new thread."""
    return wanted.resource_id if own is None else own


def _position(page: MessagePage, messages: Sequence[Message]) -> int | None:
    """The position of the last message of the client in the thread; None if it is not there."""
    last = messages[-1].id if messages else None
    return next((each.cursor for each in page.messages if each.message.id == last), None)


def _news(page: MessagePage, messages: Sequence[Message]) -> Sequence[Message]:
    known = {each.message.id for each in page.messages}
    count = next((n for n, each in enumerate(reversed(messages)) if each.id in known), None)
    new = messages if count is None else messages[len(messages) - count :]
    answered = _answered_calls(page)
    return [each for each in new if each.role != "tool" or each.tool_call_id not in answered]


def _of_run(messages: Sequence[Message], run_id: str) -> list[Message]:
    """Return messages, in which those that begin the run say so: the last ones of the user."""
    begin = len(messages)
    while begin > 0 and messages[begin - 1].role in ("user", "system"):
        begin -= 1
    return [*messages[:begin], *(_named_after(each, run_id) for each in messages[begin:])]


def _named_after(message: Message, run_id: str) -> Message:
    metadata = message.metadata or MessageMetadata()
    if metadata.run_id is not None:
        return message
    metadata = msgspec.structs.replace(metadata, run_id=run_id)
    return msgspec.structs.replace(message, metadata=metadata)


def _asked_again(messages: Sequence[Message]) -> Sequence[Message]:
    """The last message, if it is a user's: the thread has it, and it is to be answered again."""
    return [each for each in messages[-1:] if each.role == "user"]


def _with_messages(
    wanted: RunRequest, messages: Sequence[Message], page: MessagePage
) -> RunRequest:
    """Return the request with the messages that came with it, or the one that it is behind."""
    ids = tuple(message.id for message in messages if message.id is not None)
    last = page.messages[0].message.id if page.messages else None  # the newest is first
    return msgspec.structs.replace(wanted, message_ids=ids, behind=None if ids else last)


def _answered_calls(page: MessagePage) -> set[str | None]:
    """The tool calls of which the thread has a result already, perhaps under another id.

    Ids may come again in later messages, so the newest message that names a call decides.
    """
    is_answered: dict[str | None, bool] = {}
    for each in page.messages:  # the newest is first
        is_answered.setdefault(each.message.tool_call_id, True)
        for call in each.message.tool_calls or ():
            is_answered.setdefault(call.id, False)
    return {call_id for call_id, is_known in is_answered.items() if is_known}


def _is_behind(page: MessagePage, messages: Sequence[Message]) -> bool:
    shown = [each.message for each in page.messages if each.message.visibility != "internal"]
    return bool(shown) and shown[0].id not in {message.id for message in messages}
