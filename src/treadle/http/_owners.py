"""Owner rules: which owner the things belong to that a call is about, and who is refused.

A principal with an owner gets only what is theirs. What is another's is answered as if it did not
exist. What belongs to a thread has the thread's owner: its runs, and the mailbox with its id.
"""

from collections.abc import Awaitable, Callable

import msgspec

from treadle.core.ids import check_id
from treadle.core.mailbox_queries import LoadEntry, LoadMailbox
from treadle.core.run_queries import CountRuns, LoadRun, RunStats
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.errors import AlreadyExists, NotFound
from treadle.http._call import Call
from treadle.http._errors import Refused
from treadle.store.store import Store


class OwnerRule(msgspec.Struct, frozen=True, kw_only=True):
    """Who may make a call, by the owner of what it is about."""

    text: str
    """The rule in a sentence, for the reference."""
    apply: Callable[[Call, str], Awaitable[Call]]
    """Returns the call for a principal with an owner, restricted to what is theirs; or raises."""
    ids: tuple[str, ...] = ()
    """The parameters of the path that it looks at."""
    filters: bool = False
    """It restricts the query to `resource_id`."""
    is_public: bool = False
    """Nobody is asked who they are."""


# --- owners of things -----------------------------------------------------------------------------


async def require_own_thread(store: Store, thread_id: str, own: str) -> None:
    """Refuse what does not belong to an owner.

    Raises:
        InvalidId: there can be no such thread.
        NotFound: the thread is another's, or does not exist.
    """
    if not await _owns(store, check_id("thread", thread_id), own):
        raise NotFound("thread", thread_id)


async def require_own_mailbox(store: Store, mailbox_id: str, own: str) -> None:
    """The same for a mailbox: its owner is that of the thread with its id."""
    if not await _owns(store, check_id("mailbox", mailbox_id), own):
        raise NotFound("mailbox", mailbox_id)


async def require_own_entry(store: Store, entry_id: str, own: str) -> None:
    """The same for an entry: its owner is that of its mailbox."""
    (entry,) = await store.read(LoadEntry(entry_id=entry_id))
    if entry is None or not await _owns(store, entry.mailbox_id, own):
        raise NotFound("mailbox entry", entry_id)


async def require_own_run(store: Store, run_id: str, own: str) -> None:
    """The same for a run: its owner is that of its thread."""
    (run,) = await store.read(LoadRun(run_id=run_id))
    if run is None or not await _owns(store, run.thread_id, own):
        raise NotFound("run", run_id)


async def require_free_run(store: Store, run_id: str, own: str) -> None:
    """Refuse a run that another owner has; one that nobody has is free."""
    (run,) = await store.read(LoadRun(run_id=run_id))
    if run is not None and not await _owns(store, run.thread_id, own):
        raise NotFound("run", run_id)


async def require_free_thread(store: Store, thread_id: str) -> None:
    """Refuse the id of a new thread, if a thread, a mailbox or a run has it already.

    The owner of a thread owns the mailbox with its id and its runs, so a new thread must not bring
    its owner those that are there before it.

    Raises:
        AlreadyExists: something has the id.
    """
    summary, mailbox, runs = await store.read(
        LoadThreadSummary(thread_id=thread_id),
        LoadMailbox(mailbox_id=thread_id),
        CountRuns(thread_id=thread_id),
    )
    if summary is not None or mailbox is not None or runs != RunStats():
        raise AlreadyExists("thread", thread_id, "use another id, or none")


async def _owns(store: Store, thread_id: str, own: str) -> bool:
    (summary,) = await store.read(LoadThreadSummary(thread_id=thread_id))
    return summary is not None and summary.resource_id == own


# --- rules ----------------------------------------------------------------------------------------


def by_id(
    kind: str, require: Callable[[Store, str, str], Awaitable[None]], parameter: str
) -> OwnerRule:
    """The rule of an operation on what a parameter of its path names."""

    async def apply(call: Call, own: str) -> Call:
        await require(call.store, call.ids[parameter], own)
        return call

    return OwnerRule(text=f"the {kind} must be yours", apply=apply, ids=(parameter,))


OWN_THREAD = by_id("thread", require_own_thread, "thread_id")
OWN_RUN = by_id("run", require_own_run, "run_id")
OWN_MAILBOX = by_id("mailbox", require_own_mailbox, "mailbox_id")
OWN_ENTRY = by_id("entry", require_own_entry, "entry_id")


def owned_as(own: str, resource_id: str | None) -> str:
    """Return the owner that a call is about: the principal's.

    Raises:
        Refused: the call names another.
    """
    if resource_id not in (None, own):
        raise Refused(403, "forbidden", "resource_id is another owner; leave it out")
    return own


async def _filter(call: Call, own: str) -> Call:
    resource_id = owned_as(own, call.query.resource_id)
    query = msgspec.structs.replace(call.query, resource_id=resource_id)
    return msgspec.structs.replace(call, query=query)


async def _refuse(call: Call, own: str) -> Call:
    raise Refused(403, "forbidden", "this is about all owners, and you may see only what is yours")


async def _pass(call: Call, own: str) -> Call:
    return call


FILTERED = OwnerRule(text="only what is yours is listed", apply=_filter, filters=True)
ALL = OwnerRule(text="refused to principals with an owner", apply=_refuse)
PUBLIC = OwnerRule(text="open to everybody", apply=_pass, is_public=True)
