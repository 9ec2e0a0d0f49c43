"""Backends that do not know the past of a thread."""

from typing import Any

from msgspec.structs import replace

from tests.conformance.broken_backends.broken_backend import breaks
from treadle.backends.base import Guarantee
from treadle.backends.memory.backend import MemoryBackend
from treadle.backends.model.tables import Tables
from treadle.core.thread_queries import LoadThread
from treadle.core.threads import Step

THREADS = Guarantee.THREADS_ARE_WHAT_WAS_APPENDED
AT_EACH_VERSION = "a thread is loaded as it was at each version"


@breaks(THREADS, AT_EACH_VERSION)
class AlwaysPresent(MemoryBackend):
    """Loads the thread as it is, whatever version is asked for."""

    async def read(self, query: Any) -> Any:
        asked = replace(query, version=None) if isinstance(query, LoadThread) else query
        return await super().read(asked)


@breaks(THREADS, AT_EACH_VERSION)
class Irreversible(Tables):
    """Does not keep what a truncation removes."""

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        return tuple(replace(step, removed=()) for step in super().find_steps(thread_id))


@breaks(THREADS, "states before the first snapshot are known until it comes")
class Folding(Tables):
    """Forgets which patches came with a step."""

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        steps = super().find_steps(thread_id)
        return tuple(replace(each, changes=replace(each.changes, patches=())) for each in steps)


@breaks(THREADS, "a fork has the state of its last message")
class LastStepOnly(Tables):
    """Knows the last step only."""

    def find_steps(self, thread_id: str) -> tuple[Step, ...]:
        return super().find_steps(thread_id)[-1:]
