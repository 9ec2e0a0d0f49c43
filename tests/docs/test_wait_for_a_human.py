"""The approval of the guide, on every backend: who answers, who is too late, what is paid."""

import re
from types import ModuleType
from typing import Any

import pytest

import treadle
from tests.docs.documents import document
from tests.marks import every_backend
from treadle import Message, Store, Thread
from treadle.worker import Worker

pytestmark = every_backend
QUESTION = "May I refund 40 EUR?"


class Refunds:
    """The file of the guide, and what its bank has paid."""

    def __init__(self) -> None:
        [block] = re.findall(
            r"^```python\n(# refunds\.py\n.*?)^```",
            document("how-to/wait-for-a-human.md"),
            re.DOTALL | re.MULTILINE,
        )
        self.module: Any = ModuleType("refunds")
        exec(block, vars(self.module))  # noqa: S102 - our own guide
        self.paid: list[str] = []
        vars(self.module)["pay"] = self._pay

    async def _pay(self, amount: int, key: str) -> None:
        assert amount == 40
        self.paid.append(key)

    async def work(self, store: Store) -> None:
        await Worker(store, self.module.refund).run(until_idle=True)

    async def ask(self, store: Store) -> str:
        await store.threads.ensure(Thread(id="chat"))
        sent = await store.mailboxes.send("chat", {"refund": 40})
        await self.work(store)
        return sent.entry.entry_id


@pytest.fixture
def refunds() -> Refunds:
    return Refunds()


async def texts(store: Store) -> list[object]:
    page = await store.threads.list_messages("chat")
    return [each.message.content for each in page.messages]


async def test_a_yes_pays_once(store_url: str, refunds: Refunds) -> None:
    async with treadle.open_store(store_url) as store:
        turn = await refunds.ask(store)
        await store.mailboxes.send("chat", {"refund": 40})
        await refunds.work(store)
        assert await texts(store) == [QUESTION]
        assert await refunds.module.decide(store, turn, "yes")
        await refunds.work(store)
        assert refunds.paid == [turn]
        assert await texts(store) == [QUESTION, "yes", "Refunded.", QUESTION]
        assert not await refunds.module.decide(store, turn, "yes")
        await refunds.work(store)
        assert refunds.paid == [turn]


async def test_the_first_of_two_answers_counts(store_url: str, refunds: Refunds) -> None:
    async with treadle.open_store(store_url) as store:
        turn = await refunds.ask(store)
        assert await refunds.module.decide(store, turn, "no")
        assert not await refunds.module.decide(store, turn, "yes")
        await refunds.work(store)
        assert await texts(store) == [QUESTION, "no", "I have not."]
    assert refunds.paid == []


async def test_a_yes_after_a_stop_pays_nothing(store_url: str, refunds: Refunds) -> None:
    async with treadle.open_store(store_url) as store:
        turn = await refunds.ask(store)
        await store.mailboxes.interrupt("chat")
        assert not await refunds.module.decide(store, turn, "yes")
        async with store.batch() as step:  # it was decided just before the stop
            step.threads.append("chat", Message.user("yes", id=f"{turn}-answer"))
            step.mailboxes.resume("chat")
        await refunds.work(store)
        again = await refunds.ask(store)
        assert await texts(store) == [QUESTION, "yes", QUESTION]
        run = await store.runs.find_active("chat")
        assert run is not None
        assert (run.run_id, run.status) == (again, "waiting")
    assert refunds.paid == []


async def test_a_question_that_nobody_answers_ends(store_url: str, refunds: Refunds) -> None:
    refunds.module.PATIENCE_MS = 0
    async with treadle.open_store(store_url) as store:
        turn = await refunds.ask(store)
        assert await texts(store) == [QUESTION, "Nobody has answered."]
        assert not await refunds.module.decide(store, turn, "yes")
    assert refunds.paid == []
