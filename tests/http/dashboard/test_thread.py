"""The page of a thread: what is said in it, read from the end back."""

import re

import httpx

from treadle import Message, Thread, ThreadChangeSet, ToolCall
from treadle.store.store import Store


async def create(store: Store, *messages: Message) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    if messages:
        await store.threads.append("t", ThreadChangeSet(messages=[*messages]))


def positions(page: httpx.Response) -> list[int]:
    return [int(each) for each in re.findall(r'id="message-(\d+)"', page.text)]


async def test_the_newest_messages_come_first_and_earlier_ones_by_a_link(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await create(store, *(Message.user(f"text {number}") for number in range(100)))
    page = await admin.get("/threads/t")
    assert positions(page) == list(range(60, 100))
    link = re.search(r'href="([^"]+before=60)"', page.text)
    assert link is not None
    earlier = await admin.get(link[1])
    assert positions(earlier) == list(range(20, 60))
    first = await admin.get("/threads/t?before=20")
    assert positions(first) == list(range(20))
    assert "Earlier messages" not in first.text
    assert "Newest messages" in first.text


async def test_a_tool_call_is_shown_with_its_result(store: Store, admin: httpx.AsyncClient) -> None:
    call = ToolCall(id="call_0", name="weather", arguments={"n": 2**63 - 1})
    await create(
        store,
        Message.assistant("", [call]),
        Message.tool("call_0", "sunny"),
        Message.assistant("", [call, ToolCall(id="call_1", name="stocks")]),
        Message.tool("call_0", "rainy"),
        Message.tool("of-before", "lost"),
    )
    page = await admin.get("/threads/t")
    assert positions(page) == [0, 2, 4]
    first, second, orphan = page.text.split('id="message-')[1:]
    assert "sunny" in first
    assert "9223372036854775807" in first
    assert "rainy" in second
    assert second.count("no result on this page") == 1
    assert "result of an earlier call" in orphan


async def test_internal_messages_are_for_who_may_read_them(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await create(store, Message.user("hello"), Message.internal_system("the secret rule"))
    seen = await admin.get("/threads/t")
    assert "the secret rule" in seen.text
    assert '<span class="badge">internal</span>' in seen.text
    assert "the secret rule" not in (await admin.get("/threads/t?internal=false")).text
    for page in ("/threads/t", "/threads/t?internal=true", "/threads/t/messages/1"):
        assert "the secret rule" not in (await alice.get(page)).text
    assert (await alice.get("/threads/t/messages/1")).status_code == 404


async def test_a_large_message_is_cut_and_can_be_read_as_a_whole(
    store: Store, admin: httpx.AsyncClient
) -> None:
    calls = [ToolCall(id=f"c{number}", name="t", arguments="y" * 50) for number in range(10_000)]
    await create(store, Message.assistant("x" * 10_000_000, calls), Message.user("<" * 10_000))
    page = await admin.get("/threads/t")
    assert len(page.content) < 300_000
    assert "9,950 more tool calls" in page.text
    whole = await admin.get("/threads/t/messages/0")
    assert whole.headers["content-type"].startswith("text/plain")
    assert len(whole.content) > 10_000_000


async def test_many_large_messages_make_no_large_page(
    store: Store, admin: httpx.AsyncClient
) -> None:
    call = [ToolCall(id="c", name="t", arguments={"text": "z" * 9_000})]
    for _ in range(60):
        changes = ThreadChangeSet(messages=[Message.assistant("ä" * 9_000, call)])
        if await store.threads.summary("t") is None:
            await create(store)
        await store.threads.append("t", changes)
    assert len((await admin.get("/threads/t")).content) < 300_000


async def test_a_position_that_is_none_is_refused(store: Store, admin: httpx.AsyncClient) -> None:
    await create(store, Message.user("hello"))
    for text, status in (("1", 404), ("-1", 400), ("x", 400), ("9" * 30, 400), ("²", 400)):
        assert (await admin.get(f"/threads/t/messages/{text}")).status_code == status


async def test_a_thread_without_messages_says_how_to_add_one(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await create(store)
    assert "threads.append(" in (await admin.get("/threads/t")).text
