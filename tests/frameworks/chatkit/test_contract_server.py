"""A ChatKit server on our store: a test of ours for each of its tests about what is stored.

`tests/test_chatkit_server.py` of ChatKit is in no package. These tests have the names of its tests.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from chatkit.store import NotFoundError, StoreItemType, default_generate_id
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ClientToolCallItem,
    FileAttachment,
    ItemsListParams,
    ItemsListReq,
    LockedStatus,
    Page,
    Thread,
    ThreadAddClientToolOutputParams,
    ThreadAddUserMessageParams,
    ThreadDeleteParams,
    ThreadGetByIdParams,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadListParams,
    ThreadMetadata,
    ThreadRetryAfterItemParams,
    ThreadsAddClientToolOutputReq,
    ThreadsAddUserMessageReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    ThreadUpdateParams,
    UserMessageItem,
)
from pydantic import TypeAdapter

from tests.frameworks.chatkit.requests import (
    ME,
    Responder,
    Server,
    User,
    answered,
    at,
    input_of,
    widget,
)
from tests.marks import every_backend
from treadle import Store
from treadle.integrations.chatkit import TreadleChatKitStore

pytestmark = every_backend

Chats = TreadleChatKitStore[User]
LATER = 10**8
"""Seconds; behind what the server stores now."""
Events = AsyncIterator[ThreadStreamEvent]


def answering(*texts: str) -> Responder:
    """Return a function that answers each message of the user with the next text."""
    answers = iter(enumerate(texts))

    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        number, text = next(answers)
        item = answered(f"answer-{number}", LATER + number, text, thread.id)
        yield ThreadItemDoneEvent(item=item)

    return respond


async def items(server: Server, thread: ThreadMetadata) -> list[ThreadItem]:
    """Return the items of a thread as a client gets them, newest first."""
    found = await server.ask(ItemsListReq(params=ItemsListParams(thread_id=thread.id)))
    return TypeAdapter(Page[ThreadItem]).validate_json(found).data


def text_of(item: ThreadItem) -> str:
    assert item.type in ("user_message", "assistant_message")
    return str(item.content[0].text)


async def test_creates_thread(chats: Chats) -> None:
    server = Server(chats, answering("hi"))
    thread = await server.begin("hello")
    assert [text_of(item) for item in await items(server, thread)] == ["hi", "hello"]


async def changed_while_answering(chats: Chats, **changes: object) -> ThreadMetadata:
    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        for name, value in changes.items():
            setattr(thread, name, value)
        yield ThreadItemDoneEvent(item=answered("a", LATER, thread_id=thread.id))

    thread = await Server(chats, respond).begin()
    return await chats.load_thread(thread.id, ME)


async def test_saves_thread_title(chats: Chats) -> None:
    assert (await changed_while_answering(chats, title="a title")).title == "a title"


async def test_saves_thread_metadata(chats: Chats) -> None:
    assert (await changed_while_answering(chats, metadata={"a": 1})).metadata == {"a": 1}


async def test_saves_thread_locked_fields(chats: Chats) -> None:
    locked = LockedStatus(reason="paused")
    assert (await changed_while_answering(chats, status=locked)).status == locked


@pytest.mark.skipif(
    "allowed_image_domains" not in ThreadMetadata.model_fields, reason="this ChatKit has none"
)
async def test_saves_allowed_image_domains_and_streams_thread_updated(chats: Chats) -> None:
    found = await changed_while_answering(chats, allowed_image_domains=["example.com"])
    assert found.allowed_image_domains == ["example.com"]


async def test_emits_thread_updated_mid_stream_and_persists(chats: Chats) -> None:
    seen: list[str | None] = []

    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        thread.title = "in the middle"
        yield ThreadItemDoneEvent(item=answered("a", LATER, thread_id=thread.id))
        seen.append((await chats.load_thread(thread.id, ME)).title)

    await Server(chats, respond).begin()
    assert seen == ["in the middle"]


async def test_respond_with_tool_call(chats: Chats) -> None:
    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        if message is None:
            yield ThreadItemDoneEvent(item=answered("a", LATER + 1, "done", thread.id))
            return
        call = ClientToolCallItem(
            id="c", created_at=at(LATER), thread_id=thread.id, call_id="c", name="f", arguments={}
        )
        yield ThreadItemDoneEvent(item=call)

    server = Server(chats, respond)
    thread = await server.begin()
    output = ThreadAddClientToolOutputParams(thread_id=thread.id, result={"text": "wow"})
    await server.stream(ThreadsAddClientToolOutputReq(params=output))
    call = await chats.load_item(thread.id, "c", ME)
    assert isinstance(call, ClientToolCallItem)
    assert (call.status, call.output) == ("completed", {"text": "wow"})
    assert (await items(server, thread))[0].id == "a"


async def test_list_threads_response(chats: Chats) -> None:
    server = Server(chats)
    begun = [(await server.begin()).id for _ in range(3)]
    found = await server.ask(ThreadsListReq(params=ThreadListParams()))
    assert [each.id for each in TypeAdapter(Page[Thread]).validate_json(found).data] == begun[::-1]


async def test_list_threads_paginated_response(chats: Chats) -> None:
    server = Server(chats)
    begun = [(await server.begin()).id for _ in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        params = ThreadListParams(limit=2, order="asc", after=after)
        found = await server.ask(ThreadsListReq(params=params))
        page = TypeAdapter(Page[Thread]).validate_json(found)
        seen += [each.id for each in page.data]
        after = page.after
        if not page.has_more:
            break
    assert seen == begun


async def test_list_items_response(chats: Chats) -> None:
    server = Server(chats, answering("1", "2", "3"))
    thread = await server.begin("first")
    for text in ("second", "third"):
        message = ThreadAddUserMessageParams(thread_id=thread.id, input=input_of(text))
        await server.stream(ThreadsAddUserMessageReq(params=message))
    assert {text_of(item) for item in await items(server, thread)} == {
        *("first", "second", "third"),
        *("1", "2", "3"),
    }


async def test_get_thread_by_id(chats: Chats) -> None:
    server = Server(chats, answering("hi"))
    thread = await server.begin("hello")
    found = await server.ask(ThreadsGetByIdReq(params=ThreadGetByIdParams(thread_id=thread.id)))
    whole = Thread.model_validate_json(found)
    assert [text_of(item) for item in whole.items.data] == ["hello", "hi"]


async def test_threads_update_request(chats: Chats) -> None:
    server = Server(chats)
    thread = await server.begin()
    change = ThreadUpdateParams(thread_id=thread.id, title="new title")
    await server.ask(ThreadsUpdateReq(params=change))
    assert (await chats.load_thread(thread.id, ME)).title == "new title"


async def test_delete_thread(chats: Chats) -> None:
    server = Server(chats, answering("hi"))
    thread = await server.begin()
    await server.ask(ThreadsDeleteReq(params=ThreadDeleteParams(thread_id=thread.id)))
    with pytest.raises(NotFoundError):
        await chats.load_thread(thread.id, ME)
    assert (await chats.load_thread_items(thread.id, None, 10, "asc", ME)).data == []


async def test_thread_item_removed_event_removes_item(chats: Chats) -> None:
    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        yield ThreadItemDoneEvent(item=answered("a", LATER, thread_id=thread.id))
        yield ThreadItemRemovedEvent(item_id="a")

    server = Server(chats, respond)
    thread = await server.begin("hello")
    assert [text_of(item) for item in await items(server, thread)] == ["hello"]


async def replaced_by(chats: Chats, second: float) -> list[str]:
    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        yield ThreadItemDoneEvent(item=answered("a", LATER, "before", thread.id))
        yield ThreadItemDoneEvent(item=answered("b", LATER + 1, "last", thread.id))
        yield ThreadItemReplacedEvent(item=answered("a", second, "after", thread.id))

    server = Server(chats, respond)
    return [text_of(item) for item in await items(server, await server.begin("hello"))]


async def test_thread_item_replaced_event_replaces_item(chats: Chats) -> None:
    assert await replaced_by(chats, LATER) == ["last", "after", "hello"]
    assert await replaced_by(chats, LATER + 2) == ["after", "last", "hello"]


async def test_thread_item_replaced_event_with_widget(chats: Chats) -> None:
    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        yield ThreadItemDoneEvent(item=answered("a", LATER, thread_id=thread.id))
        yield ThreadItemReplacedEvent(item=widget("a", LATER, thread.id))

    server = Server(chats, respond)
    thread = await server.begin()
    assert [item.type for item in await items(server, thread)] == ["widget", "user_message"]


async def test_retry_after_item(chats: Chats) -> None:
    server = Server(chats, answering("first answer", "another answer"))
    thread = await server.begin("hello")
    question = (await items(server, thread))[-1]
    retry = ThreadRetryAfterItemParams(thread_id=thread.id, item_id=question.id)
    await server.stream(ThreadsRetryAfterItemReq(params=retry))
    assert [text_of(item) for item in await items(server, thread)] == ["another answer", "hello"]


async def test_stream_cancellation_persists_pending_assistant_message_and_hidden_context(
    chats: Chats,
) -> None:
    async def respond(thread: ThreadMetadata, message: UserMessageItem | None) -> Events:
        yield ThreadItemAddedEvent(item=answered("pending", 0, "Hello, ", thread.id))
        delta = AssistantMessageContentPartTextDelta(content_index=0, delta="World!")
        yield ThreadItemUpdatedEvent(item_id="pending", update=delta)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Server(chats, respond).begin()
    [thread] = (await chats.load_threads(10, None, "asc", ME)).data
    pending = await chats.load_item(thread.id, "pending", ME)
    assert text_of(pending) == "Hello, World!"
    last = (await chats.load_thread_items(thread.id, None, 1, "desc", ME)).data[0]
    assert last.type == "sdk_hidden_context"


async def test_user_message_attachment_thread_id_persisted_on_thread_create(chats: Chats) -> None:
    file = FileAttachment(id="f", name="a.txt", mime_type="text/plain")
    await chats.save_attachment(file, ME)
    thread = await Server(chats).begin("see this", "f")
    assert (await chats.load_attachment("f", ME)).thread_id == thread.id


async def test_user_message_attachment_thread_id_persisted_on_add_user_message(
    chats: Chats,
) -> None:
    server = Server(chats)
    thread = await server.begin()
    await chats.save_attachment(FileAttachment(id="f", name="a", mime_type="text/plain"), ME)
    message = ThreadAddUserMessageParams(thread_id=thread.id, input=input_of("see", "f"))
    await server.stream(ThreadsAddUserMessageReq(params=message))
    assert (await chats.load_attachment("f", ME)).thread_id == thread.id


async def test_delete_file(chats: Chats) -> None:
    await chats.save_attachment(FileAttachment(id="f", name="a", mime_type="text/plain"), ME)
    await chats.delete_attachment("f", ME)
    await chats.delete_attachment("f", ME)
    with pytest.raises(NotFoundError, match="Attachment f not found"):
        await chats.load_attachment("f", ME)


async def test_custom_id_generators_on_server(store: Store) -> None:
    class Named(TreadleChatKitStore[User]):
        def generate_thread_id(self, context: User) -> str:
            return f"of-{context.id}-{default_generate_id('thread')}"

        def generate_item_id(
            self, item_type: StoreItemType, thread: ThreadMetadata, context: User
        ) -> str:
            return f"{item_type}-in-{thread.id}"

    chats = Named(store, owner=lambda user: user.id)
    server = Server(chats)
    thread = await server.begin()
    assert thread.id.startswith("of-me-thr_")
    assert [item.id for item in await items(server, thread)] == [f"message-in-{thread.id}"]
