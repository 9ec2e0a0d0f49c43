"""The contract of ChatKit's stores: a test of ours for each of its `tests/test_store.py`.

That file is in no package. These tests have the names of its tests.
"""

import pytest
from chatkit.store import NotFoundError, StoreItemType
from chatkit.types import FileAttachment, ImageAttachment, ThreadMetadata
from pydantic import AnyUrl

from tests.frameworks.chatkit.requests import (
    ME,
    OTHER,
    User,
    answered,
    items_of_all_kinds,
    said,
    thread,
    widget,
)
from tests.marks import every_backend
from treadle import Store
from treadle.integrations.chatkit import TreadleChatKitStore

pytestmark = every_backend

Chats = TreadleChatKitStore[User]


async def ids(chats: Chats, order: str, after: str | None = None, limit: int = 10) -> list[str]:
    page = await chats.load_thread_items("t", after, limit, order, ME)
    return [item.id for item in page.data]


async def test_save_and_load_thread_metadata(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    assert await chats.load_thread("t", ME) == thread()


async def test_save_and_load_thread_metadata_null_title(chats: Chats) -> None:
    await chats.save_thread(thread(title=None), ME)
    assert (await chats.load_thread("t", ME)).title is None


async def test_update_thread_metadata(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await chats.save_thread(thread(title="changed"), ME)
    assert (await chats.load_thread("t", ME)).title == "changed"


async def test_save_and_load_thread_items(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    for item in items_of_all_kinds():
        await chats.add_thread_item("t", item, ME)
    page = await chats.load_thread_items("t", None, 10, "asc", ME)
    assert page.data == items_of_all_kinds()


async def test_overwrite_thread_metadata(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    changed = thread(second=5)
    changed.metadata = {"other": [1, None]}
    await chats.save_thread(changed, ME)
    assert await chats.load_thread("t", ME) == changed
    assert (await chats.load_threads(10, None, "asc", ME)).data == [changed]


async def test_save_and_load_file(chats: Chats) -> None:
    file = FileAttachment(id="f", name="test.txt", mime_type="text/plain")
    await chats.save_attachment(file, ME)
    assert await chats.load_attachment("f", ME) == file


async def test_save_and_load_image(chats: Chats) -> None:
    image = ImageAttachment(
        id="i",
        name="test.png",
        mime_type="image/png",
        preview_url=AnyUrl("https://example.com/test.png"),
        metadata={"source": "test"},
    )
    await chats.save_attachment(image, ME)
    assert await chats.load_attachment("i", ME) == image


async def test_load_threads(chats: Chats) -> None:
    for number in (3, 1, 2):
        await chats.save_thread(thread(f"t{number}", number), ME)
    first = await chats.load_threads(2, None, "asc", ME)
    assert [each.id for each in first.data] == ["t1", "t2"]
    assert (first.has_more, first.after) == (True, "t2")
    second = await chats.load_threads(2, first.after, "asc", ME)
    assert [each.id for each in second.data] == ["t3"]
    assert (second.has_more, second.after) == (False, None)
    newest = await chats.load_threads(2, None, "desc", ME)
    assert [each.id for each in newest.data] == ["t3", "t2"]


async def test_thread_items_ordering(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    for number, name in enumerate(["c", "a", "b"]):
        await chats.add_thread_item("t", said(name, number), ME)
    assert await ids(chats, "asc") == ["c", "a", "b"]
    assert await ids(chats, "desc") == ["b", "a", "c"]


async def test_thread_items_offset(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    for number in range(5):
        await chats.add_thread_item("t", said(f"m{number}", number), ME)
    page = await chats.load_thread_items("t", "m1", 3, "asc", ME)
    assert [item.id for item in page.data] == ["m2", "m3", "m4"]
    assert (page.has_more, page.after) == (False, None)
    page = await chats.load_thread_items("t", None, 2, "asc", ME)
    assert [item.id for item in page.data] == ["m0", "m1"]
    assert (page.has_more, page.after) == (True, "m1")
    assert await ids(chats, "desc", "m2") == ["m1", "m0"]


async def test_save_and_load_item(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await chats.add_thread_item("t", answered("m", text="before"), ME)
    await chats.add_thread_item("t", widget("w", 1), ME)
    await chats.save_item("t", answered("m", text="after"), ME)
    await chats.save_item("t", widget("w", 1), ME)
    assert await chats.load_item("t", "m", ME) == answered("m", text="after")
    assert await chats.load_item("t", "w", ME) == widget("w", 1)
    assert await ids(chats, "asc") == ["m", "w"]


async def test_load_nonexistent_item(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    with pytest.raises(NotFoundError, match="Item none not found in thread t"):
        await chats.load_item("t", "none", ME)
    with pytest.raises(NotFoundError, match="Item none not found in thread t"):
        await chats.load_thread_items("t", "none", 10, "asc", ME)


async def test_thread_isolation_by_user(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    with pytest.raises(NotFoundError):
        await chats.load_thread("t", OTHER)
    assert (await chats.load_threads(10, None, "asc", OTHER)).data == []
    await chats.delete_thread("t", OTHER)
    assert await chats.load_thread("t", ME) == thread()


async def test_thread_items_isolation_by_user(chats: Chats) -> None:
    await chats.save_thread(thread(), ME)
    await chats.add_thread_item("t", said("m"), ME)
    assert (await chats.load_thread_items("t", None, 10, "asc", OTHER)).data == []
    with pytest.raises(NotFoundError):
        await chats.load_item("t", "m", OTHER)
    with pytest.raises(NotFoundError):
        await chats.add_thread_item("t", said("n"), OTHER)
    await chats.delete_thread_item("t", "m", OTHER)
    assert await ids(chats, "asc") == ["m"]


async def test_default_id_generators_use_default_prefixes(chats: Chats) -> None:
    assert chats.generate_thread_id(ME).startswith("thr_")
    prefixes: dict[StoreItemType, str] = {
        "message": "msg_",
        "tool_call": "tc_",
        "task": "tsk_",
        "workflow": "wf_",
    }
    for kind, prefix in prefixes.items():
        assert chats.generate_item_id(kind, thread(), ME).startswith(prefix)


async def test_overridden_id_generators_are_used(store: Store) -> None:
    class Numbered(TreadleChatKitStore[User]):
        made = 0

        def generate_thread_id(self, context: User) -> str:
            self.made += 1
            return f"thread-{self.made}"

        def generate_item_id(
            self, item_type: StoreItemType, thread: ThreadMetadata, context: User
        ) -> str:
            self.made += 1
            return f"{item_type}-{self.made}-{thread.id}"

    chats = Numbered(store, owner=lambda user: user.id)
    assert chats.generate_thread_id(ME) == "thread-1"
    assert chats.generate_item_id("message", thread(), ME) == "message-2-t"
