"""The messages that come with a request for a run: which are new, and which it is about.

A page holds the last messages of the thread, the newest first.
"""

from collections.abc import Iterable, Sequence

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message, MessageMetadata, MessagePage
from treadle.core.run_requests import RunRequest
from treadle.errors import InvalidValue, shorten

_DIGITS = 10
"""More than the number of an answer has."""


def named(messages: Iterable[Message], run_id: str) -> list[Message]:
    """Return messages with ids, by which they are recognized if the request comes again."""
    return [
        message if message.id else msgspec.structs.replace(message, id=f"{run_id}-{number}")
        for number, message in enumerate(messages)
    ]


def position_of_last(page: MessagePage, messages: Sequence[Message]) -> int | None:
    """Return the position of the last message in the thread; None if it is not there."""
    last = messages[-1].id if messages else None
    return next((each.cursor for each in page.messages if each.message.id == last), None)


def up_to(page: MessagePage, position: int) -> MessagePage:
    """Return a page without the messages behind a position, as after a truncation to it."""
    kept = tuple(each for each in page.messages if each.cursor <= position)
    return msgspec.structs.replace(page, messages=kept)


def new_of(page: MessagePage, messages: Sequence[Message]) -> Sequence[Message]:
    """Return the client's messages that the thread lacks: those after the last one that it has."""
    known = {each.message.id for each in page.messages}
    count = next((n for n, each in enumerate(reversed(messages)) if each.id in known), None)
    new = messages if count is None else messages[len(messages) - count :]
    answered = _answered_calls(page)
    return [each for each in new if each.role != "tool" or each.tool_call_id not in answered]


def _answered_calls(page: MessagePage) -> set[str | None]:
    """The tool calls that have a result in the thread already, perhaps under another id.

    Ids may come again in later messages, so the newest message that names a call decides.
    """
    is_answered: dict[str | None, bool] = {}
    for each in page.messages:  # the newest is first
        is_answered.setdefault(each.message.tool_call_id, True)
        for call in each.message.tool_calls or ():
            is_answered.setdefault(call.id, False)
    return {call_id for call_id, is_known in is_answered.items() if is_known}


def of_run(messages: Sequence[Message], run_id: str) -> list[Message]:
    """Return messages, of which the user's last ones name the run that they begin."""
    begin = len(messages)
    while begin > 0 and messages[begin - 1].role in ("user", "system"):
        begin -= 1
    return [*messages[:begin], *(named_after(each, run_id) for each in messages[begin:])]


def answer_id(run_id: str, number: int) -> str:
    """Return the id of the message with the first, second … answer to a run."""
    return f"{run_id}-answer" if number == 1 else f"{run_id}-answer-{number}"


def last_answer(run_id: str, page: MessagePage) -> int:
    """Return the largest number of an answer to a run in a page; 0 if there is none."""
    return max((_answer_number(run_id, each.message.id) for each in page.messages), default=0)


def _answer_number(run_id: str, message_id: str | None) -> int:
    """The number for which `answer_id` gives an id; 0 if there is none."""
    first = answer_id(run_id, 1)
    if message_id is None or not message_id.startswith(first):
        return 0
    text = message_id.removeprefix(f"{first}-") if message_id != first else "1"
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else 0
    return number if message_id == answer_id(run_id, number) else 0


def named_after(message: Message, run_id: str) -> Message:
    """Return a message that names a run, unless it names another one."""
    metadata = message.metadata or MessageMetadata()
    if metadata.run_id is not None:
        return message
    metadata = msgspec.structs.replace(metadata, run_id=run_id)
    return msgspec.structs.replace(message, metadata=metadata)


def with_messages(
    wanted: RunRequest, new: Sequence[Message], messages: Sequence[Message], page: MessagePage
) -> RunRequest:
    """Return the request with the ids of its messages, or with the id of the message before it.

    If no message is new, a last message of the user counts as its own: it is to be answered again.

    Args:
        wanted: the request.
        new: those of its messages that the thread lacks.
        messages: all of them.
        page: the last messages of the thread, the newest first.
    """
    again = [each for each in messages[-1:] if each.role == "user"]
    ids = tuple(message.id for message in new or again if message.id is not None)
    last = page.messages[0].message.id if page.messages else None  # the newest is first
    return msgspec.structs.replace(wanted, message_ids=ids, behind=None if ids else last)


PARTS_OF_USERS = (
    *("text", "file", "image", "audio", "video", "document", "image_url"),
    *("input_text", "input_image", "input_audio", "input_file"),
)
"""The types of the parts of what users say, in the formats that clients and models know."""


def said_by_user(messages: Iterable[Message]) -> list[Message]:
    """Return what a user says in messages that somebody claims to be of a conversation.

    Those in other roles are left out. Of the user's, only the text and the files stay: a client
    must not hide one, give it to another run, or say in it what a tool has returned.

    Raises:
        InvalidValue: a part of a user's message is something else.
    """
    return [
        Message(id=message.id, role="user", content=_parts_of_user(message))
        for message in messages
        if message.role == "user"
    ]


def _parts_of_user(message: Message) -> str | list[Json]:
    if isinstance(message.content, str):
        return message.content
    for number, part in enumerate(message.content):
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in PARTS_OF_USERS:
            reason = f"a user says no part of the type {shorten(kind)}, only texts and files"
            where = f"request.messages, message {shorten(message.id)}, content[{number}]"
            raise InvalidValue(where, reason)
    return message.content


def is_behind(page: MessagePage, messages: Sequence[Message]) -> bool:
    """Return whether a client lacks the last message of the thread that people see."""
    shown = [each.message for each in page.messages if each.message.visibility != "internal"]
    return bool(shown) and shown[0].id not in {message.id for message in messages}
