"""A conversation is forked, cut and renamed; each with a look at what will happen."""

from playwright.async_api import expect

from tests.http.dashboard.browser.browsing import Browsing
from tests.http.dashboard.browser.conftest import Serve
from treadle import Message, Store, Thread

TEXTS = ("one", "two", "three", "four", "five")


async def create(store: Store) -> None:
    messages = tuple(Message.user(text) for text in TEXTS)
    await store.threads.create(Thread(id="count", resource_id="anna", messages=messages))


async def texts(store: Store, thread_id: str) -> list[object]:
    page = await store.threads.list_messages(thread_id)
    return [each.message.content for each in page.messages]


async def test_a_fork_shows_what_it_copies_and_leaves_the_thread_as_it_is(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    await create(store)
    page = await browsing.open(f"{await serve(store)}/threads/count")
    await page.get_by_role("link", name="Fork behind message 2").click()
    await expect(page.get_by_role("main")).to_contain_text("2 messages are left out")
    await page.get_by_label("Id of the new thread").fill("count again")
    await page.get_by_role("button", name="Fork").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("count again")
    await expect(page.locator(".message")).to_have_count(3)
    assert await texts(store, "count again") == ["one", "two", "three"]
    assert await texts(store, "count") == [*TEXTS]


async def test_messages_are_removed_once_they_were_shown(
    browsing: Browsing, serve: Serve, store: Store
) -> None:
    await create(store)
    page = await browsing.open(f"{await serve(store)}/threads/count", java_script_enabled=False)
    await page.get_by_role("link", name="Remove what follows message 3").click()
    await expect(page.locator(".message")).to_have_count(1)
    await store.threads.append("count", Message.user("six"))
    browsing.expect("409")
    await page.get_by_role("button", name="Remove").click()
    await expect(page).to_have_title("Something has changed meanwhile · Treadle")
    assert len(await texts(store, "count")) == 6, "six was not shown"
    await page.go_back()
    await page.reload()
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("status")).to_have_text("2 messages were removed.")
    assert await texts(store, "count") == ["one", "two", "three", "four"]


async def test_a_title_is_changed(browsing: Browsing, serve: Serve, store: Store) -> None:
    await create(store)
    page = await browsing.open(f"{await serve(store)}/threads/count")
    await page.get_by_text("Actions").click()
    await page.get_by_label("Title").fill("Counting <up>")
    await page.get_by_role("button", name="Change the title").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Counting <up>")
