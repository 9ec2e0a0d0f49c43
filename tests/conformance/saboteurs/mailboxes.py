"""Mailboxes, sabotaged."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.saboteurs.saboteur import Twisted, breaks
from weft.backends.base import Guarantee
from weft.backends.memory.backend import MemoryBackend
from weft.backends.memory.tables import Tables
from weft.core.commands import (
    Ack,
    Batch,
    Command,
    DeadLetter,
    Enqueue,
    ExtendLease,
    Interrupt,
    Nack,
    Purge,
    Receipt,
    Release,
)
from weft.core.mailboxes import (
    MailboxEntry,
    MailboxStats,
)


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "settling needs the token of the claim: ack, wrong token")
class Trusting(Twisted):
    """Acks without looking at the token."""

    def twist(self, command: Command) -> Command:
        return self.with_right_token(command) if isinstance(command, Ack) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a lease is not extended when the claim is lost")
class Obliging(Twisted):
    """Extends a lease for whoever asks."""

    def twist(self, command: Command) -> Command:
        return self.with_right_token(command) if isinstance(command, ExtendLease) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a nacked entry is queued until its retry")
class Impatient(Twisted):
    """Retries at once."""

    def twist(self, command: Command) -> Command:
        return replace(command, retry_at=None) if isinstance(command, Nack) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a dead letter keeps its error")
class Silent(Twisted):
    """Loses the error of a dead letter."""

    def twist(self, command: Command) -> Command:
        return replace(command, error="") if isinstance(command, DeadLetter) else command


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "a release gives the attempt back")
class Counting(Twisted):
    """Counts a claim that was released as an attempt."""

    def twist(self, command: Command) -> Command:
        if not isinstance(command, Release) or (found := self.entry(command.entry_id)) is None:
            return command
        return Nack(
            entry_id=command.entry_id,
            claim_token=command.claim_token,
            now=command.now,
            retry_at=found.available_at,
            error=found.last_error or "",
        )


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "an entry that has ended stays as it is")
class Reviving(Tables):
    """Ends an entry again that has ended."""

    def put(self, table: Any, key: str, row: Any) -> None:
        if isinstance(row, MailboxEntry) and row.status == "accepted":
            row = replace(row, status="queued")
        super().put(table, key, row)


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "interrupt raises the generation and supersedes")
class Merciful(Twisted):
    """Leaves the claimed entry alone in an interrupt."""

    async def commit(self, batch: Batch) -> Receipt:
        held = {key: e for key, e in self.tables.entries.items() if e.status == "claimed"}
        receipt = await MemoryBackend.commit(self, batch)
        if any(isinstance(command, Interrupt) for command in batch):
            self.tables.entries.update(held)
        return receipt


@breaks(Guarantee.ENTRIES_MOVE_BY_RULE, "purge removes what ended before a time")
class Sweeping(Twisted):
    """Purges what ended at the very time, too."""

    def twist(self, command: Command) -> Command:
        if isinstance(command, Purge):
            return replace(command, older_than=command.older_than + 1)
        return command


@breaks(Guarantee.WORK_COMES_IN_ONCE, "a known dedupe key gives the entry that is there")
class Forgetful(Tables):
    """Never finds a dedupe key again."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        return None


@breaks(Guarantee.WORK_COMES_IN_ONCE, "a dedupe key is known after its entry has ended")
class ShortSighted(Tables):
    """Forgets a dedupe key when its entry has ended."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        found = super().find_duplicate(mailbox_id, dedupe_key)
        return found if found and found.status in ("queued", "claimed") else None


@breaks(Guarantee.WORK_COMES_IN_ONCE, "each mailbox has dedupe keys of its own")
class Global(Tables):
    """Takes a dedupe key for the same in whatever mailbox."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        return next((e for e in self.entries.values() if e.dedupe_key == dedupe_key), None)


@breaks(Guarantee.WORK_COMES_IN_ONCE, "enqueue refuses another generation than the current")
class Tolerant(Twisted):
    """Takes work of any generation."""

    def twist(self, command: Command) -> Command:
        if not isinstance(command, Enqueue):
            return command
        state = self.tables.mailboxes.get(command.entry.mailbox_id)
        generation = state.current_generation if state else command.entry.generation
        return Enqueue(entry=replace(command.entry, generation=generation))


@breaks(Guarantee.LISTINGS_ARE_COMPLETE, "stats count each status")
class Miscounting(MemoryBackend):
    """Counts all mailboxes where one was asked for."""

    async def count_entries(self, mailbox_id: str | None) -> MailboxStats:
        return await super().count_entries(None)
