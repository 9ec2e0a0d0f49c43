"""Interrupting a mailbox, once for each page that has asked."""

from typing import cast

import msgspec

from treadle.core.endings import Interrupt, Interrupted
from treadle.core.limits import Time
from treadle.core.mailbox_queries import LoadMailbox
from treadle.core.mailboxes import MailboxState
from treadle.http._call import Call
from treadle.http._dashboard._entry_actions import counted
from treadle.http._handlers import commit


class InterruptForm(msgspec.Struct, frozen=True, kw_only=True):
    """The mailbox that the page that asked has shown."""

    generation: Time = 0
    """Its generation: a form that is sent twice interrupts once."""


def generation_of(state: MailboxState | None) -> int:
    """Return the generation of a mailbox, which may not exist yet."""
    return 0 if state is None else state.current_generation


async def interrupt(call: Call, mailbox_id: str) -> str:
    """Interrupt a mailbox as the form of a call wants it; return what is to be said about it."""
    (state,) = await call.store.read(LoadMailbox(mailbox_id=mailbox_id))
    if generation_of(state) != cast("InterruptForm", call.body).generation:
        return "Nothing was done: the mailbox has been interrupted meanwhile."
    done = cast("Interrupted", await commit(call, Interrupt(mailbox_id=mailbox_id)))
    return f"The mailbox was interrupted: {counted(len(done.superseded_entries))} superseded."
