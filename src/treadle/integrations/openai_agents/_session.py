"""The session of the OpenAI Agents SDK, on a thread."""

from typing import Any, cast

from agents import TResponseInputItem
from agents.memory.session_settings import (
    SessionSettings,
    coerce_session_settings,
    resolve_session_limit,
)

from treadle import Batch, Store, Thread
from treadle.backends.cancellation import shielded
from treadle.integrations._open_stores import awaited_store
from treadle.integrations.openai_agents._compaction import IsExpired, Snapshot, take_snapshot
from treadle.integrations.openai_agents._histories import Committed, History, Pending


class TreadleSession:
    """A session of the OpenAI Agents SDK: the thread with the session's id.

    It satisfies `agents.memory.Session`. Each call is one commit or one read. So items that are
    added together come together or not at all, and of several callers that take the last item, each
    gets another one. A cancelled caller waits until its write has ended.

    With `step`, what is added and taken back belongs to that batch, and commits with it. The batch
    of a worker's delivery thus holds the whole run, and the end of its entry::

        async with delivery.batch() as step:
            session = TreadleSession(chat, delivery.store, step=step)
            await Runner.run(agent, text, session=session)

    The session reads what it has added to the batch. Others may append to the thread meanwhile.
    Only if the session takes back an item that was there before the batch, or clears it, the batch
    fails with `VersionConflict` if the thread has changed.
    """

    session_id: str
    session_settings: SessionSettings | None = None

    def __init__(
        self,
        session_id: str,
        store: Store,
        *,
        step: Batch | None = None,
        resource_id: str | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        """Make a session; its thread is created when the first item is added.

        Args:
            session_id: the id of the session, and of the thread. If it cannot be the id of a
                thread, such as one with a "/", each call raises `InvalidId`.
            store: an open store.
            step: a batch of that store, which gets the writes.
            resource_id: the owner of the thread. A thread without an owner gets it with the first
                items; at one of another owner each call raises `InvalidValue`.
            session_settings: the SDK's settings; `limit` is how many items are read by default.
        """
        self.session_id = session_id
        settings = SessionSettings() if session_settings is None else session_settings
        self.session_settings = coerce_session_settings(settings)
        self._store = awaited_store(store)
        self._thread = Thread(id=session_id, resource_id=resource_id)
        self._is_collected = step is not None
        self._history: History = (
            Committed(store, self._thread) if step is None else Pending(store, self._thread, step)
        )

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Read the last `limit` items, in their order; None: as the settings say, or else all."""
        wanted = resolve_session_limit(limit, self.session_settings)
        if wanted is not None and wanted <= 0:
            return []
        await self._history.check_owner()
        items = await self._history.read(wanted)
        kept = items if wanted is None else items[-wanted:]
        return cast("list[TResponseInputItem]", kept)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append items, all or none.

        Raises:
            InvalidValue: an item is no JSON object, or cannot be stored; or the thread has another
                owner.
        """
        await self._history.check_owner()
        await shielded(self._history.add(items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the last item and return it; None if there is none."""
        await self._history.check_owner()
        return cast("TResponseInputItem | None", await shielded(self._history.pop()))

    async def clear_session(self) -> None:
        """Delete the thread with its history; adding an item creates it again, for its owner."""
        await self._history.check_owner()
        await shielded(self._history.clear())

    async def _atomic_replace_items(self, items: list[TResponseInputItem]) -> bool:
        """The SDK's hook: replace all items in one commit, instead of a deletion and an addition.

        It returns False where it must not: see `_get_compaction_snapshot`.
        """
        if self._is_collected or type(self) is not TreadleSession:
            return False
        await shielded(Committed(self._store, self._thread).replace_all(items))
        return True

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: IsExpired | None = None
    ) -> Snapshot | None:
        """The SDK's hook: the last items, which compaction can replace in one commit."""
        if self._is_collected:
            return None  # the SDK clears and writes again then, which a batch commits together
        if type(self) is not TreadleSession:
            return None  # a subclass may change what is added, as to hide secrets
        return await take_snapshot(self._store, self._thread, limit, prune_prefix)
