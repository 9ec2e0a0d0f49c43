"""Short ways to write events."""

from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

APP = "app"
USER = "user"


def said(text: str = "hello", **fields: Any) -> Event:
    """Return an event in which the user says something."""
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return Event(**{"author": "user", "invocation_id": "i", "content": content, **fields})


def changing(state: dict[str, Any], **fields: Any) -> Event:
    """Return an event that changes the state."""
    actions = EventActions(state_delta=state)
    return Event(**{"author": "agent", "invocation_id": "i", "actions": actions, **fields})
