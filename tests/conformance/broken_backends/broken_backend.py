"""What a broken is, and how one is made out of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.clock import Clock
from treadle.core.commands import AnyCommand, Commands, Receipt
from treadle.core.mailboxes import MailboxEntry
from treadle.testing.subject import Subject


class BrokenBackend(msgspec.Struct, frozen=True):
    """A backend that breaks a rule."""

    breaks: Guarantee
    found_by: str
    """The beginning of the rule of a check that fails."""
    subject: Subject


BROKEN_BACKENDS: dict[str, BrokenBackend] = {}
"""By module and name; filled when the modules beside this one are imported."""


def breaks(guarantee: Guarantee, found_by: str) -> Callable[[type[Any]], type[Any]]:
    """Enter a backend, or tables for the model, as a broken."""

    def enter(kind: type[Any]) -> type[Any]:
        make = on_tables(kind) if issubclass(kind, Tables) else lambda folder, clock: kind(clock)
        name = f"{kind.__module__.rpartition('.')[2]} {kind.__name__}"
        assert name not in BROKEN_BACKENDS, name
        BROKEN_BACKENDS[name] = BrokenBackend(guarantee, found_by, Subject(make=make))
        return kind

    return enter


def on_tables(tables: type[Tables]) -> Callable[[Path, Clock], MemoryBackend]:
    def make(folder: Path, clock: Clock) -> MemoryBackend:
        backend = MemoryBackend(clock)
        backend.tables = tables()
        return backend

    return make


class Twisted(MemoryBackend):
    """Changes the commands of a batch before it applies them."""

    async def commit(self, batch: Commands) -> Receipt:
        return await super().commit(tuple(self.twist(command) for command in batch))

    def twist(self, command: AnyCommand) -> AnyCommand:
        raise NotImplementedError

    def entry(self, entry_id: str) -> MailboxEntry | None:
        return self.tables.entries.get(entry_id)

    def with_right_token(self, command: Any) -> Any:
        found = self.entry(command.entry_id)
        token = found.claim_token if found else None
        return command if token is None else replace(command, claim_token=token)
