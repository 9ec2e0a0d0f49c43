"""Messages and threads as JSON, all of them, as the hook that redacts lets them be seen."""

from treadle.core.codec import Json, to_plain
from treadle.core.messages import Message
from treadle.core.threads import Thread
from treadle.http._call import Call
from treadle.http._messages import visible as visible_messages


def redacted_message(call: Call, message: Message) -> dict[str, Json]:
    """Return a message as JSON."""
    plain: dict[str, Json] = to_plain(message)
    kind = "result" if message.role == "tool" else "message"
    plain["content"] = call.redact(kind, plain["content"])
    for tool_call in plain.get("tool_calls") or ():
        tool_call["arguments"] = call.redact("arguments", tool_call.get("arguments"))
    return plain


def redacted_thread(call: Call, thread: Thread) -> dict[str, Json]:
    """Return a thread as JSON, without what is internal for who may not read that."""
    messages = visible_messages(thread.messages, internal=call.can("read_internal"))
    plain: dict[str, Json] = to_plain(thread)
    plain["messages"] = [redacted_message(call, message) for message in messages]
    for name, kind in (("state", "state"), ("patches", "patch"), ("metadata", "metadata")):
        if name in plain:
            plain[name] = call.redact(kind, plain[name])
    return plain
