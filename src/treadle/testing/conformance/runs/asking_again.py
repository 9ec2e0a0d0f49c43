"""Asking again: the work about the last messages of a thread ends, and other work goes on."""

from treadle import Message, MessageMetadata, RunRequest, Store
from treadle.backends.base import Guarantee
from treadle.core.runs import RunMeta, RunStatus
from treadle.core.superseded_runs import SupersedeRuns
from treadle.core.threads import ThreadChangeSet
from treadle.testing._harness.builders import claim_by_id, loaded_run, status
from treadle.testing._harness.check import Checks
from treadle.testing._harness.expect import expect

checks = Checks(__name__)


async def _ask(store: Store, run_id: str, text: str) -> None:
    request = RunRequest(agent_id="a", thread_id="t", run_id=run_id)
    await store.runs.request(request, Message.user(text, id=text))


async def _say(store: Store, run_id: str, text: str, run_status: RunStatus) -> None:
    message = Message(role="assistant", content=text, metadata=MessageMetadata(run_id=run_id))
    meta = RunMeta(status=run_status, source_mailbox_entry_id=run_id)
    changes = ThreadChangeSet(run_id=run_id, run_meta=meta, messages=(message,))
    await store.threads.append("t", changes)


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES)
async def work_about_the_last_messages_ends_and_other_work_goes_on(store: Store) -> None:
    await _ask(store, "first", "one")
    await _ask(store, "second", "two")
    await _ask(store, "third", "three")
    await store.mailboxes.send("t", "no request", entry_id="other")
    held = await claim_by_id(store, "second")
    await _say(store, "second", "half", "running")
    command = SupersedeRuns(thread_id="t", start=1, reason="newer")
    receipt = await store.commit((command,))
    expect([each.entry_id for each in receipt.results[0]], ["second", "third"])
    expect([each.payload["run_id"] for each in receipt.results[0]], ["second", "third"])
    expect([await status(store, each) for each in ("first", "other")], ["queued", "queued"])
    expect(await status(store, held.entry_id), "superseded")
    ended = await loaded_run(store, "second")
    expect((ended.status, ended.termination_code), ("done", "superseded"))


@checks.add(Guarantee.RUNS_END_WITH_ENTRIES, each={"ends": (), "stays": ("first",)})
async def a_run_that_waits_in_a_pause_ends_with_it(store: Store, keeps: tuple[str, ...]) -> None:
    await _ask(store, "first", "one")
    held = await claim_by_id(store, "first")
    await _say(store, "first", "may I?", "waiting")
    async with store.batch() as step:
        step.mailboxes.release(held)
        step.mailboxes.pause("t")
    command = SupersedeRuns(thread_id="t", start=0, reason="newer", keeps=keeps)
    await store.commit((command,))
    state = await store.mailboxes.load("t")
    expect(state is not None and state.paused_at is not None, bool(keeps))
    expect(await status(store, "first"), "queued" if keeps else "superseded")
    expect((await loaded_run(store, "first")).status, "waiting" if keeps else "done")
