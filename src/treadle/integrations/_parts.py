"""Parts of a message's content that only one format has; the writer of the other refuses them."""

from typing import cast

from treadle.core.codec import Json
from treadle.core.messages import Message
from treadle.errors import InvalidValue

OPENAI_PARTS = frozenset({"image_url", "input_audio", "file", "refusal"})
ANTHROPIC_PARTS = frozenset(
    {
        *("image", "document", "search_result", "thinking", "redacted_thinking"),
        *("tool_use", "tool_result", "server_tool_use", "web_search_tool_result"),
        *("web_fetch_tool_result", "container_upload", "mcp_tool_use", "mcp_tool_result"),
    }
)
ANTHROPIC_LAYOUT = "anthropic_messages"
"""The key in `extra` under which a message keeps how Anthropic's format laid it out."""

CHATGPT_EXPORT = "chatgpt_export"
CLAUDE_EXPORT = "claude_export"
EXPORTED = frozenset({CHATGPT_EXPORT, CLAUDE_EXPORT})
"""The keys in `extra` under which a message keeps what an export says of it, for no model."""


def refuse_parts(message: Message, foreign: frozenset[str], target: str, where: str) -> None:
    """Refuse a message with a part whose type is `foreign` to the format named `target`."""
    if isinstance(message.content, str):
        return
    for index, part in enumerate(message.content):
        kind: Json = cast("dict[str, Json]", part).get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in foreign:
            reason = f"{target} has no part {kind!r}; convert it, or leave it out"
            raise InvalidValue(f"{where}.content[{index}]", reason)
