"""What commands do to mailboxes, and what is read of them."""

from collections import Counter
from typing import assert_never

from treadle.backends.memory.tables import Tables
from treadle.core import mailboxes as rules
from treadle.core.clock import new_token
from treadle.core.commands import (
    Ack,
    Cancel,
    CancelPending,
    DeadLetter,
    Enqueue,
    EnsureMailbox,
    ExtendLease,
    Hold,
    Interrupt,
    Nack,
    Purge,
    Release,
    Requeue,
    RestoreEntry,
    RestoreMailbox,
    Send,
    Settlement,
    Supersede,
)
from treadle.core.limits import later
from treadle.core.mailboxes import (
    ClaimRequest,
    EntryPage,
    EntryQuery,
    EntryStatus,
    Interrupted,
    MailboxEntry,
    MailboxPage,
    MailboxQuery,
    MailboxState,
    MailboxStats,
    Transition,
)
from treadle.core.pages import page_of, page_with
from treadle.errors import AlreadyExists, ClaimConflict, NotFound

_ALL: tuple[EntryStatus, ...] = (
    "queued",
    "claimed",
    "accepted",
    "superseded",
    "cancelled",
    "dead_letter",
)


def enqueue(tables: Tables, command: Enqueue) -> None:
    """Put an entry as it is."""
    entry = command.entry
    if entry.entry_id in tables.entries:
        raise AlreadyExists("mailbox entry", entry.entry_id)
    if entry.dedupe_key is not None:
        duplicate = tables.find_duplicate(entry.mailbox_id, entry.dedupe_key)
        if duplicate is not None:
            raise AlreadyExists(
                "dedupe key",
                entry.dedupe_key,
                f"mailbox {entry.mailbox_id!r} has it in entry {duplicate.entry_id!r}",
            )
    state = tables.mailboxes.get(entry.mailbox_id)
    rules.check_generation(entry, state)
    if state is None:
        tables.put("mailboxes", entry.mailbox_id, _state_for(entry))
    tables.put("entries", entry.entry_id, entry)


def send(tables: Tables, command: Send, now: int) -> MailboxEntry:
    """Put a new entry, unless the mailbox has seen its dedupe key."""
    if command.dedupe_key is not None:
        duplicate = tables.find_duplicate(command.mailbox_id, command.dedupe_key)
        if duplicate is not None:
            return duplicate
    state = tables.mailboxes.get(command.mailbox_id)
    entry = MailboxEntry(
        entry_id=command.entry_id,
        mailbox_id=command.mailbox_id,
        origin=command.origin,
        sender_id=command.sender_id,
        payload=command.payload,
        priority=command.priority,
        dedupe_key=command.dedupe_key,
        generation=state.current_generation if state else 0,
        available_at=later(now, command.delay_ms),
        created_at=now,
        updated_at=now,
    )
    enqueue(tables, Enqueue(entry=entry))
    return entry


def ensure(tables: Tables, command: EnsureMailbox, now: int) -> MailboxState:
    """The mailbox's state, made at generation 0 if there is none, and touched if there is."""
    state = rules.ensured(tables.mailboxes.get(command.mailbox_id), command.mailbox_id, now)
    tables.put("mailboxes", command.mailbox_id, state)
    return state


def hold(tables: Tables, command: Hold, now: int) -> None:
    """Let the batch pass only while the claim is held."""
    entry = tables.entries.get(command.entry_id)
    state = tables.mailboxes.get(entry.mailbox_id) if entry else None
    rules.check_held(entry, state, command.entry_id, command.claim_token, now)


def settle(tables: Tables, command: Settlement, now: int) -> None:
    """End a claim in the way the command says."""
    entry_id, token = command.entry_id, command.claim_token
    match command:
        case Ack():
            transition = rules.ack(entry_id, token, now)
        case Nack(retry_at=retry_at, error=error):
            due = now if retry_at is None else retry_at
            transition = rules.nack(entry_id, token, now, retry_at=due, error=error)
        case DeadLetter(error=error):
            transition = rules.dead_letter(entry_id, token, now, error=error)
        case Release():
            transition = rules.release(entry_id, token, now)
        case _:
            assert_never(command)
    entry = tables.entries.get(entry_id)
    if entry is None:
        raise NotFound("mailbox entry", entry_id)
    if not transition.allows(entry):
        raise ClaimConflict(entry_id, f"it is {entry.status}, and not with this token")
    tables.put("entries", entry_id, transition.apply_to(entry))


def extend_lease(tables: Tables, command: ExtendLease, now: int) -> bool:
    """Let a lease run on; say whether it is still held.

    It does not come back once another entry of its mailbox is held for longer.
    """
    transition = rules.extend_lease(
        command.entry_id, command.claim_token, now, extension_ms=command.extension_ms
    )
    entry = tables.entries.get(command.entry_id)
    if entry is None or not transition.allows(entry):
        return False
    if rules.is_outlived(entry, tables.find_claimed(entry.mailbox_id), now):
        return False
    tables.put("entries", command.entry_id, transition.apply_to(entry))
    return True


def end(tables: Tables, command: Cancel | Supersede, now: int) -> MailboxEntry | None:
    """Cancel or supersede an entry; one that has ended stays as it is."""
    match command:
        case Cancel():
            transition = rules.cancel(command.entry_id, now)
        case Supersede(reason=reason):
            transition = rules.supersede(command.entry_id, now, reason=reason)
        case _:
            assert_never(command)
    return _end(tables, transition)


def cancel_pending(tables: Tables, command: CancelPending, now: int) -> tuple[MailboxEntry, ...]:
    """Cancel what has not ended in a mailbox."""
    unfinished = tables.find_entries(command.mailbox_id, "queued", "claimed")
    ids = sorted(e.entry_id for e in unfinished if e.entry_id != command.exclude)
    ended = (_end(tables, rules.cancel(entry_id, now)) for entry_id in ids)
    return tuple(entry for entry in ended if entry is not None)


def interrupt(tables: Tables, command: Interrupt, now: int) -> Interrupted:
    """Raise the generation, and supersede what is older."""
    before = tables.mailboxes.get(command.mailbox_id)
    state = rules.interrupted(before, command.mailbox_id, now)
    tables.put("mailboxes", command.mailbox_id, state)
    unfinished = tables.find_entries(command.mailbox_id, "queued", "claimed")
    ids = sorted(e.entry_id for e in unfinished if e.generation < state.current_generation)
    reason = rules.INTERRUPT_REASON
    ended = (_end(tables, rules.supersede(entry_id, now, reason=reason)) for entry_id in ids)
    return Interrupted(
        mailbox_state=state,
        superseded_entries=tuple(entry for entry in ended if entry is not None),
    )


def requeue(tables: Tables, command: Requeue, now: int) -> MailboxEntry | None:
    """Queue a dead letter again; any other entry stays as it is."""
    entry = tables.entries.get(command.entry_id)
    if entry is None or entry.status != "dead_letter":
        return entry
    state = tables.mailboxes.get(entry.mailbox_id)
    after = rules.requeued(entry, state.current_generation if state else entry.generation, now)
    tables.put("entries", command.entry_id, after)
    return after


def purge(tables: Tables, command: Purge) -> int:
    """Take away what ended long ago."""
    return tables.purge(command.older_than)


def restore(tables: Tables, command: RestoreMailbox) -> None:
    """Put a mailbox's state as it is."""
    tables.put("mailboxes", command.mailbox.mailbox_id, command.mailbox)


def restore_entry(tables: Tables, command: RestoreEntry) -> None:
    """Put an entry as it is, in whatever status."""
    entry = command.entry
    if tables.mailboxes.get(entry.mailbox_id) is None:
        tables.put("mailboxes", entry.mailbox_id, _state_for(entry))
    tables.put("entries", entry.entry_id, entry)


def claim(tables: Tables, request: ClaimRequest, now: int) -> tuple[MailboxEntry, ...]:
    """Put due entries into the consumer's hands."""
    if request.entry_id is None:
        chosen = list(tables.find_claimable(request, now))
    else:
        chosen = _choose_one(tables, request.entry_id, now)
    held = tuple(rules.claimed(entry, request, new_token(), now) for entry in chosen)
    for entry in held:
        tables.put("entries", entry.entry_id, entry)
    return held


def load(tables: Tables, entry_id: str) -> MailboxEntry | None:
    """An entry, or None."""
    return tables.entries.get(entry_id)


def load_state(tables: Tables, mailbox_id: str) -> MailboxState | None:
    """A mailbox's state, or None."""
    return tables.mailboxes.get(mailbox_id)


def list_entries(tables: Tables, query: EntryQuery) -> EntryPage:
    """A page of entries."""
    statuses = _ALL if query.status is None else (query.status,)
    found = tables.find_entries(query.mailbox_id, *statuses)
    matching = [entry for entry in found if rules.entry_matches(entry, query)]
    return page_of(EntryPage, sorted(matching, key=rules.listing_order), query)


def count(tables: Tables, mailbox_id: str | None) -> MailboxStats:
    """How many entries there are in each status."""
    counts = Counter(entry.status for entry in tables.find_entries(mailbox_id, *_ALL))
    return MailboxStats(
        queued=counts["queued"],
        claimed=counts["claimed"],
        accepted=counts["accepted"],
        superseded=counts["superseded"],
        cancelled=counts["cancelled"],
        dead_letter=counts["dead_letter"],
    )


def list_states(tables: Tables, query: MailboxQuery) -> MailboxPage:
    """A page of mailboxes' states."""
    ids = sorted(tables.mailboxes)
    states = (tables.mailboxes[mailbox_id] for mailbox_id in ids[query.start : query.end])
    return page_with(MailboxPage, states, len(ids), query)


def _state_for(entry: MailboxEntry) -> MailboxState:
    """The state of a mailbox that begins with an entry."""
    return MailboxState(
        mailbox_id=entry.mailbox_id,
        current_generation=entry.generation,
        updated_at=entry.updated_at,
    )


def _choose_one(tables: Tables, entry_id: str, now: int) -> list[MailboxEntry]:
    entry = tables.entries.get(entry_id)
    if entry is None or not (entry.status == "queued" or rules.has_expired(entry, now)):
        return []
    return [] if tables.is_held(entry.mailbox_id, now) else [entry]


def _end(tables: Tables, transition: Transition) -> MailboxEntry | None:
    entry = tables.entries.get(transition.entry_id)
    if entry is None or not transition.allows(entry):
        return entry
    after = transition.apply_to(entry)
    tables.put("entries", entry.entry_id, after)
    return after
