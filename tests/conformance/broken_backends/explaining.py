"""Backends that do not say why an entry waits."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.claims import claim_order, is_kept
from treadle.core.explaining import ExplainEntry, Obstacle
from treadle.core.mailboxes import MailboxEntry


class _Explaining(MemoryBackend):
    """Changes the obstacles of an explanation."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if isinstance(query, ExplainEntry) and answer is not None:
            changed = [found for each in answer.obstacles if (found := self.change(each))]
            return replace(answer, obstacles=tuple(changed))
        return answer

    def change(self, obstacle: Obstacle) -> Obstacle | None:
        raise NotImplementedError


@breaks(Guarantee.EXPLANATIONS_ARE_TRUE, "an entry of a paused mailbox says why: for ever")
class Reassuring(_Explaining):
    """Says nothing of a pause."""

    def change(self, obstacle: Obstacle) -> Obstacle | None:
        return None if obstacle.kind == "paused" else obstacle


@breaks(Guarantee.EXPLANATIONS_ARE_TRUE, "an entry that is held says by whom")
class Anonymous(_Explaining):
    """Does not name the holder."""

    def change(self, obstacle: Obstacle) -> Obstacle | None:
        return replace(obstacle, holder=None)


@breaks(Guarantee.EXPLANATIONS_ARE_TRUE, "an entry may have several obstacles")
class Brief(MemoryBackend):
    """Names one obstacle at most."""

    async def read(self, query: Any) -> Any:
        answer = await super().read(query)
        if isinstance(query, ExplainEntry) and answer is not None:
            return replace(answer, obstacles=answer.obstacles[:1])
        return answer


@breaks(Guarantee.EXPLANATIONS_ARE_TRUE, "an entry behind a retry names it")
class Shortsighted(Tables):
    """Does not look at the retries that hold back others."""

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> Iterable[MailboxEntry]:
        found = super().find_waiting(mailbox_id, number, now)
        return [each for each in found if not is_kept(each)]


@breaks(Guarantee.EXPLANATIONS_ARE_TRUE, "the last of hundreds is behind the first")
class Backwards(Tables):
    """Looks at the last entries of a mailbox."""

    def find_waiting(self, mailbox_id: str, number: int, now: int) -> Iterable[MailboxEntry]:
        return sorted(super().find_waiting(mailbox_id, number, now), key=claim_order)[-2:]
