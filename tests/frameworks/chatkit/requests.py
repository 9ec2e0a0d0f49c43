"""Users, threads and items of tests, and a server that answers as a test wants."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    InferenceOptions,
    ThreadCreateParams,
    ThreadItem,
    ThreadMetadata,
    ThreadsCreateReq,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
    UserMessageTextContent,
    WidgetItem,
)
from chatkit.widgets import Card, Text
from pydantic import BaseModel, TypeAdapter

START = datetime(2026, 11, 29, 12)


class User(NamedTuple):
    """The context of a request."""

    id: str


ME, OTHER = User("me"), User("other")
Responder = Callable[[ThreadMetadata, UserMessageItem | None], AsyncIterator[ThreadStreamEvent]]


def at(second: float) -> datetime:
    """Return a time."""
    return START + timedelta(seconds=second)


def thread(id: str = "t", second: float = 0, title: str | None = "title") -> ThreadMetadata:
    """Return a thread."""
    return ThreadMetadata(id=id, title=title, created_at=at(second), metadata={"key": "value"})


def said(id: str, second: float = 0, text: str = "hello", thread_id: str = "t") -> UserMessageItem:
    """Return an item in which the user says something."""
    return UserMessageItem(
        id=id,
        thread_id=thread_id,
        created_at=at(second),
        content=[UserMessageTextContent(text=text)],
        inference_options=InferenceOptions(),
    )


def answered(
    id: str, second: float = 0, text: str = "hi", thread_id: str = "t"
) -> AssistantMessageItem:
    """Return an item in which the assistant answers."""
    return AssistantMessageItem(
        id=id,
        thread_id=thread_id,
        created_at=at(second),
        content=[AssistantMessageContent(text=text)],
    )


def widget(id: str, second: float = 0, thread_id: str = "t") -> WidgetItem:
    """Return an item that shows a widget."""
    card = Card(children=[Text(value="text", size="sm")])
    return WidgetItem(id=id, thread_id=thread_id, created_at=at(second), widget=card)


def items_of_all_kinds() -> list[ThreadItem]:
    """Return items whose ids are in another order than their times."""
    message = said("msg_2", 0)
    message.attachments = [
        FileAttachment(id="f", name="a.txt", mime_type="text/plain", metadata={"a": 1})
    ]
    return [message, answered("msg_1", 1), widget("a_widget", 2)]


class Server(ChatKitServer[User]):
    """A server that answers with a function."""

    def __init__(self, store: Any, responder: Responder | None = None) -> None:
        super().__init__(store)
        self._responder = responder

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: User
    ) -> AsyncIterator[ThreadStreamEvent]:
        if self._responder is not None:
            async for event in self._responder(thread, input_user_message):
                yield event

    async def add_feedback(self, *args: Any, **options: Any) -> None:
        """Accept feedback."""

    async def stream(self, request: BaseModel, user: User = ME) -> list[ThreadStreamEvent]:
        """Process a request, and return the events of the answer."""
        result = await self.process(request.model_dump_json(), user)
        assert isinstance(result, StreamingResult)
        events = TypeAdapter[ThreadStreamEvent](ThreadStreamEvent)
        return [events.validate_json(each.split(b"data: ")[1]) async for each in result.json_events]

    async def ask(self, request: BaseModel, user: User = ME) -> bytes:
        """Process a request that is answered at once."""
        result = await self.process(request.model_dump_json(), user)
        assert isinstance(result, NonStreamingResult)
        return result.json

    async def begin(self, text: str = "hello", *attachments: str) -> ThreadMetadata:
        """Create a thread with a message of the user."""
        events = await self.stream(
            ThreadsCreateReq(params=ThreadCreateParams(input=input_of(text, *attachments)))
        )
        [created] = [event for event in events if event.type == "thread.created"]
        return created.thread


def input_of(text: str, *attachments: str) -> UserMessageInput:
    """Return what a user enters."""
    return UserMessageInput(
        content=[UserMessageTextContent(text=text)],
        attachments=[*attachments],
        inference_options=InferenceOptions(),
    )
