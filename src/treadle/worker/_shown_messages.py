"""Messages that were shown while they were written, and are kept when the user stops the turn."""

import logging

from treadle.core.mailbox_commands import INTERRUPT_REASON
from treadle.core.mailbox_queries import LoadEntry
from treadle.core.messages import Message, MessageMetadata, MessagePage
from treadle.core.run_requests import RunRequest
from treadle.core.thread_queries import ListMessages
from treadle.core.thread_summaries import LoadThreadSummary
from treadle.core.turns import run_of
from treadle.errors import StoreClosed, TreadleError, VersionConflict
from treadle.store.live import LiveMessage
from treadle.worker._clock import timeout
from treadle.worker._delivery import Delivery, leases_of
from treadle.worker.backoff import TRANSIENT

_LOGGER = logging.getLogger("treadle.worker")

_RECENT = 200
"""How many of the last messages of a thread are searched for the question."""
_LIMIT_S = 5.0
"""The time to keep what was shown, in seconds; others may write to the thread meanwhile."""


class KeptMessage(LiveMessage):
    """A message that remembers what it has shown."""

    _parts: list[str] | None = None

    @property
    def shown(self) -> str:
        """The text that was shown so far."""
        return "".join(self._parts or ())

    async def text(self, delta: str) -> None:
        """Show more of its text."""
        self._parts = [] if self._parts is None else self._parts
        self._parts.append(delta)
        await super().text(delta)


class ShownMessages:
    """Keeps the messages of a turn that were shown, if an interrupt ends it before they are."""

    def __init__(self, delivery: Delivery, request: RunRequest) -> None:
        self._delivery = delivery
        self._request = request
        self._messages: list[KeptMessage] = []

    def add(self, message: KeptMessage) -> None:
        """Keep this message, too."""
        self._messages.append(message)
        leases_of(self._delivery)[0].after_loss = self._keep

    async def _keep(self) -> None:
        shown = [each for each in self._messages if each.shown]
        if not shown:
            return
        clock = leases_of(self._delivery)[0].clock
        try:
            async with timeout(clock, _LIMIT_S):
                while not await self._append(shown):
                    pass  # somebody has just written to the thread: look again
        except StoreClosed:
            raise
        except (TreadleError, *TRANSIENT) as error:
            message = "what run %r has shown is not kept: %s"
            _LOGGER.warning(message, self._request.run_id, error)

    async def _append(self, shown: list[KeptMessage]) -> bool:
        """Append what was shown, unless it is not wanted. False: others have just written."""
        store, thread_id = self._delivery.store, self._request.thread_id
        entry, summary, page = await store.read(
            LoadEntry(entry_id=self._delivery.entry.entry_id),
            LoadThreadSummary(thread_id=thread_id),
            ListMessages(thread_id=thread_id, limit=_RECENT, order="desc", visibility=None),
        )
        # A cancel takes the turn back, and who asks again wants another answer.
        if entry is None or (entry.status, entry.last_error) != ("superseded", INTERRUPT_REASON):
            return True
        if summary is None or not self._has_question(page):
            return True
        known = {each.message.id for each in page.messages}
        of_run = MessageMetadata(run_id=self._request.run_id)
        missing = [
            Message.assistant(each.shown, id=each.id, metadata=of_run)
            for each in shown
            if each.id not in known
        ]
        if not missing:
            return True
        try:
            await store.threads.append(thread_id, *missing, expected=summary.version)
        except VersionConflict:
            return False
        return True

    def _has_question(self, page: MessagePage) -> bool:
        """Return whether the thread still has what the turn answers."""
        request = self._request
        ids = {*request.message_ids, *([request.behind] if request.behind else [])}
        return any(
            each.message.id in ids or run_of(each.message) == request.run_id
            for each in page.messages
        )
