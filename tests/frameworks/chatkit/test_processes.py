"""Several processes use one thread: none of their items is lost."""

from collections.abc import Callable

from tests.frameworks.chatkit.requests import ME, User, thread
from tests.frameworks.processes import run_together
from treadle import open_store
from treadle.integrations.chatkit import TreadleChatKitStore


async def test_processes_that_add_items_lose_nothing(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    async with open_store(url) as store:
        chats = TreadleChatKitStore[User](store, owner=lambda user: user.id)
        await chats.save_thread(thread(), ME)
        run_together("tests.frameworks.chatkit.append", url)
        found = (await chats.load_thread_items("t", None, 500, "asc", ME)).data
        assert {item.id for item in found} == {f"{p}-{n}" for p in range(4) for n in range(50)}
        assert len(found) == 200
        assert [each.id for each in (await chats.load_threads(9, None, "asc", ME)).data] == ["t"]
