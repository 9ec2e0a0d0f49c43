"""Images in a message's content, from the parts of one format to those of the other.

OpenAI's format has them in messages of the user, Anthropic's in results of tools as well. The hints
`detail` and `cache_control`, which the other format does not have, are left out. An image that the
other format cannot express, such as an uploaded file, stays as it is.
"""

import re
from collections.abc import Callable

import msgspec

from treadle.core.codec import Json
from treadle.core.messages import Message

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_WEB = re.compile(r"https?://", re.IGNORECASE)


def as_anthropic(message: Message) -> Message:
    """Return the message with its images as Anthropic's format has them."""
    return _converted(message, _to_anthropic) if message.role in ("user", "tool") else message


def as_openai(message: Message) -> Message:
    """Return the message with its images as the OpenAI chat format has them."""
    return _converted(message, _to_openai) if message.role == "user" else message


def _converted(message: Message, convert: Callable[[Json], Json]) -> Message:
    if isinstance(message.content, str):
        return message
    content = [convert(part) for part in message.content]
    return (
        message if content == message.content else msgspec.structs.replace(message, content=content)
    )


def _to_anthropic(part: Json) -> Json:
    match part:
        case {"type": "image_url", "image_url": {"url": str() as url, **hints}, **further}:
            if further or hints.keys() - {"detail"}:
                return part
        case _:
            return part
    if data := _DATA.fullmatch(url):
        source = {"type": "base64", "media_type": data[1], "data": data[2]}
        return {"type": "image", "source": source}
    if _WEB.match(url):
        return {"type": "image", "source": {"type": "url", "url": url}}
    return part


def _to_openai(part: Json) -> Json:
    match part:
        case {"type": "image", "source": dict() as source, **further}:
            if further.keys() - {"cache_control"}:
                return part
        case _:
            return part
    match source:
        case {"type": "base64", "media_type": str() as kind, "data": str() as data, **further}:
            url = f"data:{kind};base64,{data}"
        case {"type": "url", "url": str() as url, **further}:
            pass
        case _:
            return part
    return part if further else {"type": "image_url", "image_url": {"url": url}}
