"""What happens to mailboxes themselves: they are paused, resumed, interrupted and deleted."""

from treadle.cli.commands.watch.happened import Happened, forget_oldest
from treadle.cli.terminal.output import time_text
from treadle.cli.terminal.tables import beginning
from treadle.clock import system_clock
from treadle.core.codec import Json, to_plain
from treadle.core.mailboxes import MailboxState
from treadle.store.store import Store

_PAGE = 100
"""How many mailboxes are known at first: those that changed last."""


class MailboxChanges:
    """Reads the states of mailboxes, and says what has changed since they were last read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._began = system_clock()
        self._states: dict[str, MailboxState] = {}

    async def begin(self, mailbox_id: str | None) -> None:
        """Note the state of a mailbox, or those that changed last."""
        if mailbox_id is not None:
            state = await self._store.mailboxes.load(mailbox_id)
            states = [] if state is None else [state]
        else:
            page = await self._store.mailboxes.list_summaries(
                by="updated_at", order="desc", limit=_PAGE
            )
            states = [summary.state for summary in page.items]
        self._states = {state.mailbox_id: state for state in states}

    async def look(self, mailbox_id: str) -> list[Happened]:
        """Read a mailbox that a hint names."""
        known = self._states.pop(mailbox_id, None)
        state = await self._store.mailboxes.load(mailbox_id)
        if state is None:  # what is sent to a mailbox creates it, so it was there
            plain: Json = {"mailbox": mailbox_id, "deleted": True}
            return [Happened(system_clock(), f"mailbox {mailbox_id} was deleted", plain)]
        self._states[mailbox_id] = state
        forget_oldest(self._states)
        text = self._change(known, state)
        if text is None:
            return []
        return [
            Happened(state.updated_at, f"mailbox {mailbox_id} {text}", {"mailbox": to_plain(state)})
        ]

    async def look_again(self) -> list[Happened]:
        """Read the mailboxes that are known."""
        found: list[Happened] = []
        for mailbox_id in tuple(self._states):
            found += await self.look(mailbox_id)
        return found

    def _change(self, known: MailboxState | None, state: MailboxState) -> str | None:
        if known is None and state.updated_at < self._began:
            return None
        before = known or MailboxState(mailbox_id=state.mailbox_id)
        if known is not None and state.current_generation > known.current_generation:
            return f"was interrupted, and is at generation {state.current_generation}"
        if _pause_of(state) == _pause_of(before):
            return None
        if state.paused_at is None:
            return "was resumed"
        until = "it is resumed" if state.paused_until is None else time_text(state.paused_until)
        reason = f": {beginning(state.pause_reason, 200)}" if state.pause_reason else ""
        return f"is paused until {until}{reason}"


def _pause_of(state: MailboxState) -> tuple[object, ...]:
    return state.paused_at, state.paused_until, state.pause_reason
