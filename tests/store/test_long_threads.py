"""Requests and answers in threads that are longer than what is looked at first."""

import msgspec

from tests.marks import every_backend
from tests.store.test_run_requests import asking, queued, said, wanted
from treadle import Message, MessageMetadata, RunRequest, Store, Thread
from treadle.store.run_requests import RECENT

LONG = RECENT + 100


def talk(count: int, run_id: str | None = None) -> list[Message]:
    """Questions and answers in turn, with ids: q0, a1, q2 …"""
    metadata = MessageMetadata(run_id=run_id)
    return [
        (Message.assistant if number % 2 else Message.user)(
            f"{number}", id=f"{'a' if number % 2 else 'q'}{number}", metadata=metadata
        )
        for number in range(count)
    ]


@every_backend
async def test_a_run_that_asks_again_after_long_gets_its_second_answer(store: Store) -> None:
    await asking(store, "r", pauses=True)
    await store.runs.answer("r", "yes")
    await store.threads.append("t", *talk(LONG, "r"))
    await asking(store, "r", pauses=True)
    await store.runs.answer("r", "no")
    last = (await store.threads.list_messages("t", order="desc", limit=1)).messages[0]
    assert (last.message.id, last.message.content) == ("r-answer-2", "no")


@every_backend
async def test_the_answers_of_a_run_are_numbered_whatever_their_role(store: Store) -> None:
    for number in range(3):
        await asking(store, "r", pauses=True)
        reply = msgspec.structs.replace(Message.tool("call", f"{number}"), id=None)
        await store.runs.answer("r", message=reply)
        await store.threads.append("t", Message.user("meanwhile"))
    answers = [each for each in await said(store) if each.role == "tool"]
    assert [each.id for each in answers] == ["r-answer", "r-answer-2", "r-answer-3"]
    assert [each.metadata for each in answers] == [MessageMetadata(run_id="r")] * 3


@every_backend
async def test_a_message_far_back_is_answered_again(store: Store) -> None:
    messages = talk(LONG)
    await store.threads.create(Thread(id="t", messages=tuple(messages)))
    asked = await store.runs.request(wanted("r"), *messages[:21], removes_rest=True)
    assert [each.id for each in await said(store)] == [each.id for each in messages[:21]]
    assert asked.version == 1
    [entry] = await queued(store)
    request = RunRequest.of(entry)
    assert (request.message_ids, request.behind) == (("q20",), None)


@every_backend
async def test_what_goes_on_behind_a_message_is_behind_one_that_stays(store: Store) -> None:
    messages = talk(4)
    await store.threads.create(Thread(id="t", messages=tuple(messages)))
    await store.runs.request(wanted("r1"), *messages[:2], removes_rest=True)
    [entry] = await queued(store)
    assert RunRequest.of(entry).behind == "a1"
    await store.runs.request(wanted("r2"), *messages[:2], removes_rest=True)
    assert [entry.entry_id for entry in await queued(store)] == ["r2"]


@every_backend
async def test_a_message_that_the_thread_lacks_removes_nothing(store: Store) -> None:
    await store.threads.create(Thread(id="t", messages=tuple(talk(LONG))))
    await store.runs.request(wanted("r"), Message.user("new", id="new"), removes_rest=True)
    assert await store.threads.message_count("t") == LONG + 1
