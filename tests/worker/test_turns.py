"""Turns: a handler gets what is asked for, and what else becomes a part of it."""

from typing import Any

import pytest
from tests.marks import every_backend
from tests.worker.support import AT_ONCE, NewWorker, Recorder, load, until_idle

from treadle import (
    InvalidValue,
    Json,
    MailboxEntry,
    Message,
    MessageMetadata,
    RunConflict,
    RunRecord,
    Store,
    Thread,
    ToolCall,
)
from treadle.testing import ManualClock
from treadle.turns import NO_RESULT
from treadle.worker import (
    Answer,
    DeadLettered,
    Delivery,
    Done,
    Interrupt,
    Reject,
    Reply,
    RunRequest,
    TakenRun,
    Turn,
)


async def ask(
    store: Store, run_id: str, *texts: str, resume: tuple[Answer, ...] = ()
) -> MailboxEntry:
    """Request a run of thread t that brings messages, or answers."""
    said = [
        Message.user(text, id=f"{run_id}-{text}", metadata=MessageMetadata(run_id=run_id))
        for text in texts
    ]
    request = RunRequest(
        agent_id="helper",
        thread_id="t",
        run_id=run_id,
        resume=resume,
        message_ids=tuple(str(each.id) for each in said),
    )
    async with store.batch() as step:
        step.threads.ensure(Thread(id="t"))
        if said:
            step.threads.append("t", *said)
        sent = step.mailboxes.send("t", request, dedupe_key=run_id)
    return sent.result.entry


async def answer(delivery: Delivery, turn: Turn, *messages: Message) -> None:
    async with delivery.batch() as step:
        step.threads.append("t", turn.changes(*messages, status="done"))


def texts(messages: list[Message]) -> list[object]:
    return [message.content for message in messages]


async def run_named(store: Store, run_id: str) -> RunRecord:
    run = await store.runs.load(run_id)
    assert run is not None
    return run


class TestARequest:
    async def test_what_asks_for_no_run_is_a_dead_letter_at_once(
        self, store: Store, new_worker: NewWorker, recorder: Recorder
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            Turn(delivery)

        sent = await store.mailboxes.send("t", {"text": "hi"})
        await until_idle(new_worker(store, handler))
        entry = await load(store, sent.entry)
        assert (entry.status, entry.attempt_count) == ("dead_letter", 1)
        assert entry.last_error is not None
        assert "requests no run: Object missing required field `agent_id`" in entry.last_error
        assert "send a treadle.worker.RunRequest" in entry.last_error

    async def test_so_is_one_whose_ids_cannot_be(self, store: Store, new_worker: NewWorker) -> None:
        async def handler(delivery: Delivery) -> None:
            Turn(delivery)

        payload = {"agent_id": "helper", "thread_id": "t", "run_id": ""}
        sent = await store.mailboxes.send("t", payload)
        await until_idle(new_worker(store, handler))
        entry = await load(store, sent.entry)
        assert entry.last_error is not None
        assert (entry.status, "invalid run id" in entry.last_error) == ("dead_letter", True)

    async def test_an_older_payload_still_reads(self, store: Store, new_worker: NewWorker) -> None:
        seen: list[list[object]] = []

        async def handler(delivery: Delivery) -> None:
            seen.append(texts(await Turn(delivery).history()))

        await store.threads.create(Thread(id="t", messages=(Message.user("hi"),)))
        payload = {"agent_id": "helper", "thread_id": "t", "run_id": "r", "origin": "user"}
        await store.mailboxes.send("t", payload)
        await until_idle(new_worker(store, handler))
        assert seen == [["hi"]]

    async def test_a_value_that_treadle_does_not_know_is_no_payload(self, store: Store) -> None:
        with pytest.raises(InvalidValue, match="cannot hold an object; give what it holds, as a"):
            await store.mailboxes.send("t", object())


@every_backend
class TestAnswers:
    async def test_an_answer_finds_its_call_although_others_have_written(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        replies: list[tuple[Reply, ...]] = []
        histories: list[list[object]] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            call = ToolCall(id="call_0", name="pay", arguments=turn.request.run_id)
            match turn.request.run_id:
                case "r1":
                    asking = turn.changes(
                        Message.assistant("call", [call], id="r1-call"),
                        status="waiting",
                        interrupts=[Interrupt(id="may-1", tool_call_id="call_0")],
                    )
                    async with delivery.batch() as step:
                        step.threads.append("t", asking)
                case "r2":
                    histories.append(texts(await turn.history()))
                    await answer(delivery, turn, Message.assistant("a2", id="r2-a"))
                case _:
                    replies.append(await turn.answers())
                    if len(replies) == 1:
                        async with delivery.batch(settle=False) as step:
                            paid = Message.tool("call_0", "paid", id="r3-result")
                            step.threads.append("t", turn.changes(paid))
                        raise ConnectionError
                    histories.append(texts(await turn.history()))
                    await answer(delivery, turn, Message.assistant("a3", id="r3-a"))

        await ask(store, "r1", "pay")
        await ask(store, "r2", "are you there?")
        given = (Answer(interrupt_id="may-1"), Answer(interrupt_id="unknown"))
        await ask(store, "r3", resume=given)
        await until_idle(new_worker(store, handler, backoff=AT_ONCE))
        (first, unknown), (again, _) = replies
        assert (first.run_id, first.answer, first.result) == ("r1", given[0], None)
        assert first.call == ToolCall(id="call_0", name="pay", arguments="r1")
        assert first.interrupt == Interrupt(id="may-1", tool_call_id="call_0")
        assert (unknown.run_id, unknown.call, unknown.interrupt) == (None, None, None)
        assert again.result is not None
        assert again.result.content == "paid"
        assert histories == [
            ["pay", "call", NO_RESULT, "are you there?"],
            ["are you there?", "a2", "pay", "call", "paid"],
        ]

    async def test_a_question_that_is_no_text_is_refused(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        refusals: list[str] = []

        async def handler(delivery: Delivery) -> None:
            asked: Any = {"tool": "pay", "amount": 40}
            questions = [Interrupt(id="a", message="Really?"), Interrupt(id="b", message=asked)]
            with pytest.raises(InvalidValue) as refused:
                Turn(delivery).changes(status="waiting", interrupts=questions)
            refusals.append(str(refused.value))

        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, handler))
        [text] = refusals
        assert "interrupts[1].message" in text

    async def test_an_answer_finds_the_run_that_it_names(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        replies: list[tuple[Reply, ...]] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            if turn.request.resume:
                replies.append(await turn.answers())
                await answer(delivery, turn)
                return
            question = Interrupt(id="may-1", message=turn.request.run_id)
            async with delivery.batch() as step:
                step.threads.append("t", turn.changes(status="waiting", interrupts=[question]))

        for run_id in ("r1", "r2"):
            await ask(store, run_id, "pay")
        await until_idle(new_worker(store, handler))
        await store.runs.answer("r1", "yes")
        await until_idle(new_worker(store, handler))
        [[reply]] = replies
        assert reply.run_id == "r1"
        assert reply.interrupt == Interrupt(id="may-1", message="r1")
        assert (await run_named(store, "r2")).status == "waiting"

    async def test_a_turn_that_has_paused_takes_its_answer(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        replies: list[tuple[Reply, ...]] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            run = await store.runs.load("r1")
            if run is None:
                question = Interrupt(id="may-1")
                async with delivery.pause() as step:
                    step.threads.append("t", turn.changes(status="waiting", interrupts=[question]))
                return
            await turn.take()
            replies.append(await turn.answers())
            await answer(delivery, turn)

        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, handler))
        answered = await store.runs.answer("r1", {"approved": True}, next_run_id="r2")
        assert answered.run.status == "running"
        await until_idle(new_worker(store, handler))
        [[reply]] = replies
        assert (reply.run_id, reply.answer.payload) == ("r1", {"approved": True})
        assert (await run_named(store, "r1")).status == "done"
        assert (await run_named(store, "r2")).termination_code == "merged"

    @pytest.mark.parametrize("goes_on", [True, False])
    async def test_a_turn_that_is_answered_before_it_pauses_is_handed_out_again(
        self, store: Store, new_worker: NewWorker, clock: ManualClock, goes_on: bool
    ) -> None:
        replies: list[int] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            await turn.take()
            replies.append(len(await turn.answers()))
            if replies == [0]:
                question = Interrupt(id="may-1")
                async with delivery.batch(settle=False) as step:
                    step.threads.append("t", turn.changes(status="waiting", interrupts=[question]))
                clock.now += 1
                await store.runs.answer("r1", "yes", next_run_id="r2")
            if replies == [0] or not goes_on:
                clock.now += 1
                async with delivery.pause(reason="a question"):
                    pass
                return
            await answer(delivery, turn)

        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, handler))
        assert replies == [0, 1]
        mailbox = await store.mailboxes.load("t")
        assert mailbox is not None
        if goes_on:
            assert mailbox.paused_at is None
            assert (await run_named(store, "r1")).status == "done"
        else:  # it knew of the answer, and pauses for a reason of its own
            assert mailbox.pause_reason == "a question"


class Asker:
    """A handler of turns: run r1 pauses for each of its questions, and takes the answers."""

    def __init__(self, store: Store, *questions: str) -> None:
        self.store = store
        self.questions = questions
        self.crashes = 0
        """How many attempts fail that have taken an answer."""
        self.turns: list[tuple[str, list[object]]] = []
        """The runs that were answered, and the answers that they had."""

    async def __call__(self, delivery: Delivery) -> None:
        turn = Turn(delivery)
        taken = await turn.take() if turn.request.run_id == "r1" else ()
        replies = await turn.answers()
        answered = len(replies)
        if turn.request.run_id == "r1" and answered < len(self.questions):
            question = Interrupt(id=self.questions[answered])
            async with delivery.pause() as step:
                step.threads.append("t", turn.changes(status="waiting", interrupts=[question]))
            return
        if taken and self.crashes:
            self.crashes -= 1
            raise OSError("the model is away")
        self.turns.append((turn.request.run_id, [each.answer.payload for each in replies]))
        await answer(delivery, turn)


@every_backend
class TestAnswersOfPausedTurns:
    @pytest.mark.parametrize("is_first", [True, False], ids=["answer-first", "message-first"])
    async def test_an_answer_comes_before_what_was_sent_meanwhile(
        self, store: Store, new_worker: NewWorker, is_first: bool
    ) -> None:
        asker = Asker(store, "may-1")
        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, asker))
        if is_first:
            await store.runs.answer("r1", "yes", next_run_id="a1")
        await ask(store, "r2", "meanwhile")
        if not is_first:
            await store.runs.answer("r1", "yes", next_run_id="a1")
        await until_idle(new_worker(store, asker))
        assert asker.turns == [("r1", ["yes"]), ("r2", [])]
        assert (await run_named(store, "r1")).status == "done"
        assert (await run_named(store, "a1")).termination_code == "merged"

    async def test_a_request_with_the_answer_does_the_same(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        asker = Asker(store, "may-1")
        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, asker))
        await ask(store, "r2", "meanwhile")
        resume = (Answer(interrupt_id="may-1", payload="yes"),)
        wanted = RunRequest(agent_id="helper", thread_id="t", run_id="a1", resume=resume)
        await store.runs.request(wanted, Message.user("and thanks", id="thanks"))
        await until_idle(new_worker(store, asker))
        assert asker.turns == [("r1", ["yes"]), ("r2", [])]

    async def test_each_of_several_pauses_gets_its_answer(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        asker = Asker(store, "may-1", "may-2", "may-3")
        await ask(store, "r1", "pay")
        for number in (1, 2, 3):
            await until_idle(new_worker(store, asker))
            await ask(store, f"m{number}", "meanwhile")
            await store.runs.answer("r1", number, next_run_id=f"a{number}")
        await until_idle(new_worker(store, asker))
        assert asker.turns == [("r1", [1, 2, 3]), ("m1", []), ("m2", []), ("m3", [])]

    async def test_an_answer_that_comes_twice_counts_once(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        asker = Asker(store, "may-1")
        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, asker))
        await ask(store, "r2", "meanwhile")
        for _ in range(2):
            await store.runs.answer("r1", "yes", next_run_id="a1")
        with pytest.raises(RunConflict):
            await store.runs.answer("r1", "no", next_run_id="a2")
        await until_idle(new_worker(store, asker))
        assert asker.turns == [("r1", ["yes"]), ("r2", [])]
        assert (await store.mailboxes.list_entries(mailbox_id="t")).total == 3

    async def test_a_turn_that_fails_with_its_answer_gets_it_again(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        asker = Asker(store, "may-1")
        asker.crashes = 2
        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, asker))
        await ask(store, "r2", "meanwhile")
        await store.runs.answer("r1", "yes", next_run_id="a1")
        # at the third attempt of both, which is the last one, nothing else is taken
        await until_idle(new_worker(store, asker, backoff=AT_ONCE, max_attempts=3))
        assert asker.turns == [("r1", ["yes"]), ("r2", [])]

    async def test_a_turn_gets_its_answer_after_a_worker_has_died_with_it(
        self, store: Store, new_worker: NewWorker, clock: ManualClock
    ) -> None:
        asker = Asker(store, "may-1")
        await ask(store, "r1", "pay")
        await until_idle(new_worker(store, asker))
        await ask(store, "r2", "meanwhile")
        await store.runs.answer("r1", "yes", next_run_id="a1")
        [held] = await store.mailboxes.claim(consumer="dies", lease_ms=1)
        assert [each.entry_id for each in await store.mailboxes.take(held)] == ["a1"]
        clock.now += 1
        await until_idle(new_worker(store, asker))
        assert asker.turns == [("r1", ["yes"]), ("r2", [])]


@every_backend
class TestTaking:
    async def test_a_turn_takes_runs_that_were_asked_for_meanwhile(
        self, store: Store, new_worker: NewWorker, recorder: Recorder
    ) -> None:
        taken: list[tuple[TakenRun, ...]] = []
        histories: list[list[object]] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            if turn.request.run_id == "r1":
                await ask(store, "r2", "without nuts", resume=(Answer(interrupt_id="r1"),))
                await store.mailboxes.send("t", "no run")
                taken.append(await turn.take(10))
                assert await store.runs.load("r2") is None
            histories.append(texts(await turn.history()))
            await answer(delivery, turn, Message.assistant("a", id=f"{turn.request.run_id}-a"))

        await ask(store, "r1", "bake a cake")
        await until_idle(new_worker(store, handler))
        [[run]] = taken
        assert (run.request.run_id, texts(list(run.messages))) == ("r2", ["without nuts"])
        assert [each.answer.interrupt_id for each in run.replies] == ["r1"]
        merged = await run_named(store, "r2")
        assert (merged.status, merged.termination_code) == ("done", "merged")
        assert merged.termination_detail == "it became a part of run r1"
        assert merged.agent_id == "helper"
        assert [each.entry.payload["run_id"] for each in recorder.of(Done)] == ["r1", "r2"]
        [refused] = recorder.of(DeadLettered)
        assert (refused.entry.payload, "requests no run" in refused.error) == ("no run", True)

        await ask(store, "r3", "and for two")
        await until_idle(new_worker(store, handler))
        assert histories == [
            ["bake a cake", "without nuts"],
            ["bake a cake", "without nuts", "a", "and for two"],
        ]

    async def test_a_turn_begins_with_several(self, store: Store, new_worker: NewWorker) -> None:
        histories: list[list[object]] = []

        async def handler(delivery: Delivery) -> None:
            histories.append(texts(await Turn(delivery).history()))

        await ask(store, "r1", "one")
        await ask(store, "r2", "two")
        await until_idle(new_worker(store, handler, coalesce=5))
        assert histories == [["one", "two"]]
        assert (await run_named(store, "r2")).termination_code == "merged"

    async def test_a_turn_that_fails_merges_nothing(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            if turn.request.run_id == "r1":
                await turn.take()
                raise Reject("no")
            await answer(delivery, turn)

        await ask(store, "r1", "one")
        await ask(store, "r2", "two")
        await until_idle(new_worker(store, handler))
        run = await run_named(store, "r2")
        assert (run.status, run.termination_code) == ("done", None)


@pytest.mark.parametrize(
    ("status", "payload", "approved"),
    [
        pytest.param("resolved", {"approved": True}, True, id="approved"),
        pytest.param("resolved", True, True, id="true"),
        pytest.param("resolved", None, True, id="no-payload"),
        pytest.param("resolved", {"approved": False}, False, id="declined"),
        pytest.param("resolved", {"approved": False, "reason": "no"}, False, id="with-a-reason"),
        pytest.param("resolved", False, False, id="false"),
        pytest.param("resolved", {"approved": "no"}, False, id="a-text"),
        pytest.param("resolved", {"approved": 1}, False, id="a-number"),
        pytest.param("resolved", {}, False, id="empty"),
        pytest.param("resolved", "no", False, id="in-words"),
        pytest.param("cancelled", None, False, id="cancelled"),
        pytest.param("cancelled", {"approved": True}, False, id="cancelled-after-all"),
        pytest.param("unheard of", True, False, id="another-status"),
    ],
)
def test_only_a_plain_yes_is_an_approval(status: str, payload: Json, approved: bool) -> None:
    answer = Answer(interrupt_id="q", status=status, payload=payload)
    assert answer.approved is approved
