"""Items of the Responses API, of every kind that a thread treats in a way of its own."""

from typing import Any

from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

Item = Any

USER = {"role": "user", "content": "What is the weather?"}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Bern",  "days": 1.0}',
    "status": "completed",
}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Sunny.", "annotations": []}],
}
ITEMS: list[Item] = [
    {"role": "developer", "content": "Be short."},
    USER,
    {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
    CALL,
    OUTPUT,
    {
        "type": "function_call_output",
        "call_id": "c",
        "output": [{"type": "input_text", "text": ""}],
    },
    {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "not JSON"},
    {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x = 1"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "…"},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": None, "refusal": "no"},
    {"role": "user", "content": [{"type": "text", "text": "a part of the chat format"}]},
    ANSWER,
    ANSWER,
]


def text(content: str) -> ResponseOutputMessage:
    """Return what a model says."""
    part = ResponseOutputText(type="output_text", text=content, annotations=[])
    return ResponseOutputMessage(
        id="msg", type="message", role="assistant", status="completed", content=[part]
    )


def call(name: str, arguments: str = "{}") -> ResponseFunctionToolCall:
    """Return a model's call of a tool."""
    return ResponseFunctionToolCall(
        type="function_call", id="fc", call_id="call_1", name=name, arguments=arguments
    )
