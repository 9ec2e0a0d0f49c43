"""The checks of what `Runs.request` and `Runs.answer` are given, before anything is read."""

from collections.abc import Mapping
from typing import NamedTuple, cast

from treadle.core.codec import checked
from treadle.core.ids import check_ids
from treadle.core.mailbox_commands import Send
from treadle.core.messages import Message
from treadle.core.run_requests import Answer, RunRequest
from treadle.errors import InvalidValue, shorten


class Sender(NamedTuple):
    """Who asks or answers, and what goes with the entry beside its payload."""

    id: str | None
    headers: Mapping[str, str]


def checked_request(request: object) -> RunRequest:
    """Return a request, checked and copied.

    Raises:
        InvalidId, InvalidValue: it cannot be sent; the message says where.
    """
    if not isinstance(request, RunRequest):
        reason = f"it must be a RunRequest, not a {type(request).__name__}"
        raise InvalidValue("request", reason)
    check_ids(request)
    for each in request.resume if isinstance(request.resume, tuple | list) else ():
        check_ids(each)
    return checked(request, "request")


def check_message(message: object, where: str) -> None:
    """Refuse what is not a message; what is in it is checked when it is committed.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(message, Message):
        raise InvalidValue(where, f"it must be a Message, not a {type(message).__name__}")
    if not isinstance(message.id, str | None):
        raise InvalidValue(f"{where}.id", f"it must be a text, not a {type(message.id).__name__}")


def check_flag(value: object, where: str) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InvalidValue: it is something else.
    """
    if not isinstance(value, bool):
        raise InvalidValue(where, f"it must be True or False, not {shorten(value)}")


def checked_sender(sender_id: object, headers: object, where: str) -> Sender:
    """Return who sends an entry, and its headers, checked and copied.

    Raises:
        InvalidValue: the sender is not a text, or the headers are none that an entry can have.
    """
    sender = cast("str | None", sender_id)
    texts = texts_of(headers, f"{where}.headers")
    entry = Send(entry_id="any", mailbox_id="any", payload=None, sender_id=sender, headers=texts)
    checked(entry, where)
    return Sender(sender, texts)


def texts_of(headers: object, where: str) -> dict[str, str]:
    """Return headers as a command has them; the command checks what is in them.

    Raises:
        InvalidValue: they are not a mapping.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        reason = f"it must be a mapping of names to texts, not a {type(headers).__name__}"
        raise InvalidValue(where, reason)
    return dict(cast("Mapping[str, str]", headers))


def checked_answers(answers: object) -> tuple[Answer, ...]:
    """Return answers, checked and copied.

    Raises:
        InvalidId, InvalidValue: one cannot be given; the message says which.
    """
    if not isinstance(answers, tuple | list):
        reason = f"it must be a tuple or list of answers, not a {type(answers).__name__}"
        raise InvalidValue("answer.answers", reason)
    return tuple(checked_answer(each, f"answer.answers[{n}]") for n, each in enumerate(answers))


def checked_answer(answer: object, where: str) -> Answer:
    """Return an answer, checked and copied.

    Raises:
        InvalidId, InvalidValue: it cannot be given; the message says why.
    """
    if not isinstance(answer, Answer):
        raise InvalidValue(where, f"it must be an Answer, not a {type(answer).__name__}")
    check_ids(answer)
    if answer.status not in ("resolved", "cancelled"):
        reason = f"it must be 'resolved' or 'cancelled', not {shorten(answer.status)}"
        raise InvalidValue(f"{where}.status", reason)
    return checked(answer, where)
