"""Sending work to the mailbox of a thread, from the page of its conversation."""

from typing import cast

import msgspec
from starlette.responses import Response

from treadle.core.codec import Json, check_json
from treadle.http._call import Call
from treadle.http._dashboard._rendering import redirect
from treadle.http._operation import Operation
from treadle.http._owners import OWN_THREAD


class SendForm(msgspec.Struct, frozen=True, kw_only=True):
    """Work for the agent."""

    text: str
    key: str | None = None
    """The same for the same form: it is sent once."""


async def _send(call: Call) -> Response:
    thread_id, form = call.ids["thread_id"], cast("SendForm", call.body)
    sent = await call.store.mailboxes.send(
        thread_id,
        payload_of(form.text),
        sender_id=call.principal.id,
        dedupe_key=None if form.key is None else f"dashboard:{form.key}",
    )
    said = "It was sent already." if sent.was_known else "It was sent: a worker will get it."
    return redirect(call, "threads", thread_id, said=said)


def payload_of(text: str) -> Json:
    """Return the payload that a text means: an object of JSON, or else a text in one.

    Raises:
        InvalidValue: it is an object of JSON that the store does not keep.
    """
    text = text.replace("\r\n", "\n")
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return {"text": text}
    check_json(value, "text")
    return value


OPERATIONS = (
    Operation(
        method="POST",
        path="/threads/{thread_id}/send",
        summary="Send work to the mailbox of a thread.",
        action="send",
        owner=OWN_THREAD,
        form=SendForm,
        handle=_send,
    ),
)
