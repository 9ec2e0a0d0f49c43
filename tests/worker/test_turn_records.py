"""The record of a turn's run: from the first piece that it shows until its entry ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from tests.marks import every_backend
from tests.worker.support import (
    AT_ONCE,
    FaultyBackend,
    NewWorker,
    Recorder,
    running,
    until_idle,
)

from treadle import (
    ClaimConflict,
    InvalidValue,
    Message,
    RunMeta,
    RunRecord,
    RunStatus,
    Store,
    StoreUnavailable,
    Thread,
    ThreadChangeSet,
)
from treadle.testing import ManualClock
from treadle.worker import Delivery, Reject, Retried, RunRequest, Turn, Withdrawn

Stop = Callable[[Store], Awaitable[object]]

STOPS: dict[str, Stop] = {
    "superseded": lambda store: store.mailboxes.interrupt("t"),
    "cancelled": lambda store: store.mailboxes.cancel("r"),
}


async def ask(store: Store) -> None:
    await store.runs.request(RunRequest(agent_id="helper", thread_id="t", run_id="r"), HI)


HI = Message.user("hi", id="hi")


async def record(store: Store) -> RunRecord:
    run = await store.runs.load("r")
    assert run is not None
    return run


def tokens(run: RunRecord) -> tuple[int, int]:
    return run.input_tokens, run.output_tokens


async def finish(delivery: Delivery, turn: Turn) -> None:
    async with delivery.batch() as step:
        step.threads.append("t", turn.changes(Message.assistant("hello"), status="done"))


class Shown:
    """A handler that shows a piece, counts tokens, and waits until it is stopped."""

    def __init__(self) -> None:
        self.has_shown = asyncio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        turn = Turn(delivery)
        await turn.message().text("hel")
        turn.count_tokens(input_tokens=30, output_tokens=1)
        turn.count_tokens(output_tokens=1)
        self.has_shown.set()
        await asyncio.Event().wait()


@every_backend
class TestAccepted:
    @pytest.mark.parametrize("begins", [False, True], ids=["not begun", "begun"])
    @pytest.mark.parametrize("settles", [False, True], ids=["by the worker", "by the batch"])
    @pytest.mark.parametrize("is_waiting", [False, True], ids=["running", "waiting"])
    async def test_a_run_is_not_running_once_its_entry_is_accepted(
        self, store: Store, new_worker: NewWorker, begins: bool, settles: bool, is_waiting: bool
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            if begins:
                await turn.begin()
            status: RunStatus = "waiting" if is_waiting else "running"
            async with delivery.batch(settle=settles) as step:
                step.threads.append("t", turn.changes(Message.assistant("hello"), status=status))

        await ask(store)
        await until_idle(new_worker(store, handler))
        run = await record(store)
        expected = "waiting" if is_waiting else "done"
        assert (run.status, run.termination_code) == (expected, None)


@every_backend
async def test_a_turn_that_waits_for_other_work_says_so_until_it_asks(
    store: Store, new_worker: NewWorker
) -> None:
    seen: list[object] = []

    async def handler(delivery: Delivery) -> None:
        turn = Turn(delivery)
        for asks in (False, True):
            async with delivery.batch(settle=asks) as step:
                step.threads.append("t", turn.changes(status="waiting", asks=asks))
            seen.append((await record(store)).metadata)

    await ask(store)
    await until_idle(new_worker(store, handler))
    assert seen == [{"asks": False}, {"interrupts": []}]


@every_backend
class TestTokensOfATurnThatHasNotBegun:
    async def test_a_turn_that_fails_leaves_its_run_and_its_tokens(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            Turn(delivery).count_tokens(input_tokens=1000, output_tokens=10)
            raise Reject("no")

        await ask(store)
        await until_idle(new_worker(store, handler))
        run = await record(store)
        assert (run.status, run.termination_code, tokens(run)) == (
            "done",
            "dead_letter",
            (1000, 10),
        )
        assert (run.agent_id, run.thread_id, run.termination_detail) == (
            "helper",
            "t",
            "Reject: no",
        )

    @pytest.mark.parametrize("code", STOPS)
    async def test_a_turn_that_is_stopped(
        self, store: Store, new_worker: NewWorker, recorder: Recorder, code: str
    ) -> None:
        has_counted = asyncio.Event()

        async def handler(delivery: Delivery) -> None:
            Turn(delivery).count_tokens(output_tokens=7)
            has_counted.set()
            await asyncio.Event().wait()

        await ask(store)
        async with running(new_worker(store, handler)):
            await has_counted.wait()
            await STOPS[code](store)
            await recorder.wait_for(Withdrawn)
        run = await record(store)
        assert (run.status, run.termination_code, tokens(run)) == ("done", code, (0, 7))

    @pytest.mark.parametrize("is_tried_again", [False, True])
    async def test_a_turn_that_writes_nothing_and_one_that_is_tried_again(
        self, store: Store, new_worker: NewWorker, is_tried_again: bool
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            Turn(delivery).count_tokens(output_tokens=7)
            if is_tried_again and delivery.entry.attempt_count == 1:
                raise ConnectionError

        await ask(store)
        await until_idle(new_worker(store, handler, backoff=AT_ONCE))
        run = await record(store)
        assert (run.status, run.termination_code, tokens(run)) == ("done", None, (0, 7))


@every_backend
class TestFromTheFirstPiece:
    async def test_the_run_is_seen_while_it_is_made(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        seen: list[RunRecord | None] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            seen.append(await store.runs.find_active("t"))
            message = turn.message()
            await message.text("hel")
            seen.append(await store.runs.find_active("t"))
            await message.text("lo")
            turn.count_tokens(input_tokens=7, output_tokens=2)
            await finish(delivery, turn)

        await ask(store)
        await until_idle(new_worker(store, handler))
        before, during = seen
        run = await record(store)
        assert before is None
        assert during is not None
        assert during == replace(
            run, status="running", input_tokens=0, output_tokens=0, updated_at=during.updated_at
        )
        assert (run.status, run.source_mailbox_entry_id, tokens(run)) == ("done", "r", (7, 2))

    @pytest.mark.parametrize("code", STOPS)
    async def test_a_turn_that_is_stopped_leaves_its_run_and_its_tokens(
        self, store: Store, new_worker: NewWorker, recorder: Recorder, code: str
    ) -> None:
        shown = Shown()
        await ask(store)
        async with running(new_worker(store, shown)):
            await shown.has_shown.wait()
            assert (await record(store)).status == "running"
            await STOPS[code](store)
            await recorder.wait_for(Withdrawn)
        run = await record(store)
        assert (run.status, run.termination_code, tokens(run)) == ("done", code, (30, 2))

    async def test_a_turn_that_fails_goes_on_with_its_record(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        between: list[RunRecord] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            if delivery.entry.attempt_count == 2:
                between.append(await record(store))
            await turn.message().text("hel")
            turn.count_tokens(input_tokens=10, output_tokens=1)
            if delivery.entry.attempt_count == 1:
                raise ConnectionError
            await finish(delivery, turn)

        await ask(store)
        await until_idle(new_worker(store, handler, backoff=AT_ONCE))
        [failed] = between
        assert (failed.status, tokens(failed)) == ("running", (10, 1))
        run = await record(store)
        assert (run.status, run.created_at, tokens(run)) == ("done", failed.created_at, (20, 2))

    async def test_a_dead_letter_ends_it_and_a_requeue_begins_it_again(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        is_broken = True

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            await turn.message().text("hel")
            turn.count_tokens(output_tokens=5)
            if is_broken:
                raise ConnectionError("no model")
            run = await record(store)
            assert (run.status, run.termination_code, run.termination_detail) == (
                "running",
                None,
                None,
            )
            await finish(delivery, turn)

        await ask(store)
        await until_idle(new_worker(store, handler, max_attempts=1))
        dead = await record(store)
        assert (dead.status, dead.termination_code, tokens(dead)) == ("done", "dead_letter", (0, 5))
        is_broken = False
        await store.mailboxes.requeue("r")
        await until_idle(new_worker(store, handler, max_attempts=5))
        run = await record(store)
        assert (run.status, run.termination_code, tokens(run)) == ("done", None, (0, 10))

    async def test_a_handler_that_writes_nothing_ends_it(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            await turn.message().text("hel")
            turn.count_tokens(output_tokens=5)

        await ask(store)
        await until_idle(new_worker(store, handler))
        run = await record(store)
        assert (run.status, run.termination_code, tokens(run)) == ("done", None, (0, 5))

    async def test_a_run_that_waits_goes_on_waiting(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            await Turn(delivery).message().text("May I?")
            meta = RunMeta(agent_id="helper", status="waiting", output_tokens=3)
            async with delivery.batch() as step:
                step.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))

        await ask(store)
        await until_idle(new_worker(store, handler))
        run = await record(store)
        assert (run.status, tokens(run)) == ("waiting", (0, 3))

    async def test_who_takes_over_after_a_crash_goes_on_with_it(
        self, store: Store, new_worker: NewWorker, clock: ManualClock
    ) -> None:
        await ask(store)
        [entry] = await store.mailboxes.claim(1, consumer="dies", lease_ms=1)
        left = RunRecord(
            run_id="r",
            thread_id="t",
            agent_id="helper",
            source_mailbox_entry_id=entry.entry_id,
            input_tokens=4,
        )
        await store.runs.upsert(left)
        clock.now += 2
        seen: list[RunRecord] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            before = await record(store)
            await turn.message().text("hel")
            seen.append(await record(store))
            assert seen == [before]
            turn.count_tokens(input_tokens=2)
            await finish(delivery, turn)

        await until_idle(new_worker(store, handler))
        run = await record(store)
        assert (run.status, tokens(run), len(seen)) == ("done", (6, 0), 1)


class TestWhatItCosts:
    @pytest.mark.parametrize(("shows", "more"), [(False, 0), (True, 1)])
    async def test_one_commit_where_something_is_shown(
        self,
        faulty_store: Store,
        faulty: FaultyBackend,
        new_worker: NewWorker,
        shows: bool,
        more: int,
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            for message in (turn.message(), turn.message()) if shows else ():
                await message.text("hel")
                await message.text("lo")
            await finish(delivery, turn)

        await ask(faulty_store)
        before = faulty.calls["commit"]
        await until_idle(new_worker(faulty_store, handler))
        assert faulty.calls["commit"] - before == 1 + more

    async def test_a_turn_shows_its_pieces_although_the_store_fails(
        self, faulty_store: Store, faulty: FaultyBackend, new_worker: NewWorker
    ) -> None:
        failed: list[str] = []

        def fail(name: str) -> None:
            if name == "commit" and not failed:
                failed.append(name)
                raise StoreUnavailable("memory", "down")

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            message = turn.message()
            await message.text("hel")
            await message.text("lo")
            await finish(delivery, turn)

        await ask(faulty_store)
        faulty.before = fail
        await until_idle(new_worker(faulty_store, handler))
        assert (failed, (await record(faulty_store)).status) == (["commit"], "done")

    async def test_tokens_that_cannot_be_written_stop_nothing(
        self,
        faulty_store: Store,
        faulty: FaultyBackend,
        new_worker: NewWorker,
        recorder: Recorder,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        shown = Shown()
        await ask(faulty_store)
        async with running(new_worker(faulty_store, shown)):
            await shown.has_shown.wait()
            await faulty_store.mailboxes.interrupt("t")

            def fail(name: str) -> None:
                if name == "commit":
                    raise StoreUnavailable("memory", "down")

            faulty.before = fail
            await recorder.wait_for(Withdrawn)
        assert "tokens of entry 'r' are not counted" in caplog.text
        assert tokens(await record(faulty_store)) == (0, 0)


class TestBegin:
    async def test_it_writes_the_record_once(
        self, faulty_store: Store, faulty: FaultyBackend, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            before = faulty.calls["commit"]
            await asyncio.gather(turn.begin(), turn.begin(), turn.message().text("hel"))
            assert faulty.calls["commit"] - before == 1
            assert (await record(faulty_store)).status == "running"
            await finish(delivery, turn)

        await ask(faulty_store)
        await until_idle(new_worker(faulty_store, handler))
        assert (await record(faulty_store)).status == "done"

    async def test_it_needs_the_claim(self, store: Store, new_worker: NewWorker) -> None:
        refused: list[ClaimConflict] = []

        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            async with delivery.batch():
                pass
            await turn.message().text("too late")
            with pytest.raises(ClaimConflict) as refusal:
                await turn.begin()
            refused.append(refusal.value)

        await ask(store)
        await until_idle(new_worker(store, handler))
        assert (len(refused), await store.runs.load("r")) == (1, None)

    async def test_it_leaves_the_run_of_another_thread(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            await Turn(delivery).begin()

        await ask(store)
        await store.threads.create(Thread(id="u"))
        other = RunRecord(run_id="r", thread_id="u", created_at=1, updated_at=1)
        await store.runs.upsert(other)
        await until_idle(new_worker(store, handler))
        assert await record(store) == other

    async def test_a_handler_that_forgets_its_batch_is_still_warned_of(
        self, store: Store, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            await Turn(delivery).message().text("hel")

        await ask(store)
        await until_idle(new_worker(store, handler))
        assert "the handler returned without a batch" in caplog.text


class TestCountedTokens:
    @pytest.mark.parametrize("number", [-1, 1.5, True, 2**63])
    async def test_a_number_that_cannot_be_is_refused(
        self, store: Store, new_worker: NewWorker, number: int
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            with pytest.raises(InvalidValue, match=r"count_tokens\.output_tokens"):
                turn.count_tokens(input_tokens=1, output_tokens=number)
            await finish(delivery, turn)

        await ask(store)
        await until_idle(new_worker(store, handler))
        run = await record(store)
        assert (run.status, tokens(run)) == ("done", (0, 0))

    async def test_totals_that_are_given_count_instead(
        self, store: Store, new_worker: NewWorker
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            async with delivery.batch() as step:
                step.threads.append("t", turn.changes(status="done", input_tokens=9))

        await ask(store)
        await until_idle(new_worker(store, handler))
        assert tokens(await record(store)) == (9, 0)

    async def test_a_turn_that_shows_nothing_counts_what_it_uses_after_a_commit(
        self, store: Store, new_worker: NewWorker, recorder: Recorder
    ) -> None:
        async def handler(delivery: Delivery) -> None:
            turn = Turn(delivery)
            async with delivery.batch(settle=False) as step:
                step.threads.append("t", turn.changes(Message.assistant("a", id="a")))
            turn.count_tokens(output_tokens=4)
            raise ConnectionError

        await ask(store)
        await until_idle(new_worker(store, handler, backoff=AT_ONCE, max_attempts=2))
        assert len(recorder.of(Retried)) == 1
        assert tokens(await record(store)) == (0, 4)
