"""Conversations for tests."""

from datetime import UTC, datetime

from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def asked(text: str) -> ModelRequest:
    """Return what a user says."""
    return ModelRequest(parts=[UserPromptPart(text, timestamp=THEN)], timestamp=THEN)


def answered(text: str) -> ModelResponse:
    """Return what a model says."""
    return ModelResponse(parts=[TextPart(text)], timestamp=THEN)


def conversation(name: str, *texts: str) -> Conversation:
    """Return a new conversation of a user's messages."""
    return Conversation(conversation_id=name, messages=[asked(text) for text in texts])


def texts(conversation: Conversation | None) -> list[str]:
    """Return the texts of a conversation's messages."""
    assert conversation is not None
    return [text_of(message) for message in conversation.messages]


def text_of(message: ModelMessage) -> str:
    """Return the text of a message."""
    return str(message.parts[0].content)  # type: ignore[union-attr]


RICH: list[ModelMessage] = [
    ModelRequest(
        parts=[
            UserPromptPart(
                ["Look: ", BinaryContent(b"\x00\xff\x89PDF", media_type="application/pdf")],
                timestamp=THEN,
            )
        ],
        timestamp=THEN,
    ),
    ModelResponse(
        parts=[
            ThinkingPart("hm", signature="s"),
            ToolCallPart("f", {"a": [1, 1.5, None]}, tool_call_id="c"),
            ToolCallPart("g", '{"a":  1}', tool_call_id="d"),
        ],
        timestamp=THEN,
        provider_details={"x": 1},
    ),
    ModelRequest(
        parts=[ToolReturnPart("f", {"deep": ["value"]}, tool_call_id="c", timestamp=THEN)],
        timestamp=THEN,
    ),
]
