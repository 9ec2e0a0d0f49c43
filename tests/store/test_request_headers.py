"""What goes with the entry of a request or an answer, such as the context of a trace."""

import pytest

from tests.marks import every_backend
from treadle import InvalidValue, Message, RunMeta, RunRequest, Store, ThreadChangeSet, blocking

HEADERS = {"traceparent": "00-1", "tenant": "a"}


def wanted(run_id: str) -> RunRequest:
    return RunRequest(agent_id="helper", thread_id="t", run_id=run_id)


@every_backend
async def test_entries_of_requests_and_answers_have_them(store: Store) -> None:
    await store.runs.request(wanted("alone"), Message.user("hi"), headers=HEADERS)
    async with store.batch() as step:
        step.runs.request(wanted("joined"), headers=HEADERS)
        meta = RunMeta(agent_id="helper", status="waiting")
        step.threads.append("t", ThreadChangeSet(run_id="asks", run_meta=meta))
    await store.runs.answer("asks", next_run_id="answer", headers=HEADERS)
    for entry_id in ("alone", "joined", "answer"):
        entry = await store.mailboxes.load_entry(entry_id)
        assert entry is not None
        assert entry.headers == HEADERS


async def test_they_are_checked_before_the_store_is_asked(store: Store) -> None:
    with pytest.raises(InvalidValue, match=r"request\.headers"):
        await store.runs.request(wanted("r"), headers=[("a", "b")])  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=r"request\.headers"):
        async with store.batch() as step:
            step.runs.request(wanted("r"), headers={"": "no name"})
    with pytest.raises(InvalidValue, match=r"answer\.headers"):
        await store.runs.answer("r", headers={"a": 1})  # type: ignore[dict-item]


def test_blocking_stores_take_them_too() -> None:
    with blocking.open_store("memory:") as store:
        store.runs.request(wanted("alone"), headers=HEADERS)
        with store.batch() as step:
            step.runs.request(wanted("joined"), headers=HEADERS)
        for entry_id in ("alone", "joined"):
            entry = store.mailboxes.load_entry(entry_id)
            assert entry is not None
            assert entry.headers == HEADERS
