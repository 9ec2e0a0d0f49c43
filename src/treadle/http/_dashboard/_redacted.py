"""Messages and threads as JSON, all of them, as the hook that redacts lets them be seen."""

from treadle.core.codec import Json, SortedModel, to_plain
from treadle.core.messages import Message, ToolCall
from treadle.core.threads import Thread, ThreadMetadata
from treadle.http._call import Call
from treadle.http._messages import visible as visible_messages


def redacted_message(call: Call, message: Message) -> dict[str, Json]:
    """Return a message as JSON."""
    plain = _plain(call, message)
    kind = "result" if message.role == "tool" else "message"
    plain["content"] = call.redact(kind, plain["content"])
    if message.tool_calls is not None:
        plain["tool_calls"] = [_redacted_call(call, each) for each in message.tool_calls]
    if message.metadata is not None:
        plain["metadata"] = _plain(call, message.metadata)
    return plain


def redacted_thread(call: Call, thread: Thread) -> dict[str, Json]:
    """Return a thread as JSON, without what is internal, unless the principal may read that."""
    messages = visible_messages(thread.messages, internal=call.can("read_internal"))
    plain = _plain(call, thread)
    plain["messages"] = [redacted_message(call, message) for message in messages]
    plain["metadata"] = redacted_metadata(call, thread.metadata)
    for patch in plain["patches"]:
        for name, kind in (("patch", "patch"), ("source", "agent"), ("description", "patch")):
            if patch.get(name) is not None:
                patch[name] = call.redact(kind, patch[name])
    if thread.resource_id is not None:
        plain["resource_id"] = call.redact("owner", thread.resource_id)
    if "state" in plain:
        plain["state"] = call.redact("state", plain["state"])
    return plain


def redacted_metadata(call: Call, metadata: ThreadMetadata) -> Json:
    """Return the labels of a thread as JSON."""
    plain: dict[str, Json] = to_plain(metadata)
    if isinstance(plain.get("title"), str):
        plain["title"] = call.redact("title", plain["title"])
    return call.redact("metadata", plain)


def _redacted_call(call: Call, tool_call: ToolCall) -> dict[str, Json]:
    plain = _plain(call, tool_call)
    plain["name"] = call.redact("tool", tool_call.name)
    plain["arguments"] = call.redact("arguments", plain.get("arguments"))
    return plain


def _plain(call: Call, value: SortedModel) -> dict[str, Json]:
    """A value as JSON, with those of its fields redacted that Treadle does not know."""
    plain: dict[str, Json] = to_plain(value)
    if not value.extra:
        return plain
    others = call.redact("extra", {name: plain.pop(name) for name in value.extra})
    return {**plain, **(others if isinstance(others, dict) else {"extra": others})}
