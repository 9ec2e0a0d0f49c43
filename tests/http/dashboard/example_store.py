"""A store as a small company would have it, for pictures of the dashboard and tests of its pages.

The conversations are those of `treadle demo`. They began during the last two weeks.
"""

from collections.abc import Sequence
from itertools import cycle

import msgspec

from tests.cli.support import SHIPPED
from treadle import (
    Json,
    MailboxEntry,
    Message,
    MessageMetadata,
    RunMeta,
    RunStatus,
    Store,
    ThreadChangeSet,
)
from treadle.cli.demo.script import Script, Turn, read_scripts
from treadle.patches import Append, Set, track
from treadle.testing.clock import ManualClock

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
OWNERS = ("anna", "ben", "carla", "dmitri", "elif")
QUESTIONS = {
    "tutor-portuguese-postcard": "May I send the postcard to the printer?",
    "studio-first-episode": "May I refund 68.50 EUR to the card that ends in 4417?",
    "studio-double-booking": "May I move the other show to Thursday, for 20 % less?",
}
"""What agents ask, by the thread."""
RATE_LIMIT = "RateLimitError: 429: 60,000 tokens a minute are used up; try again in 34 s"
ERRORS = {
    "KeyError: 'CALENDAR_TOKEN'": ("calendar.py", "credentials = os.environ['CALENDAR_TOKEN']", 6),
    "TimeoutError: the stock service did not answer in 30 s": (
        "stock.py",
        "return await ask(url, timeout=30)",
        4,
    ),
    RATE_LIMIT: ("model.py", "raise RateLimitError(answer)", 3),
}
"""Errors of dead letters: the file, the line of code, and how many have it."""


def scripts() -> list[Script]:
    """Return the conversations."""
    return [script for script in read_scripts(SHIPPED) if isinstance(script, Script)]


def few_scripts() -> list[Script]:
    """Return some of them, which are enough for tests: axe looks at each word of a page."""
    few = ("bike", "train", "lost", "studio", "tutor-portuguese")
    return [script for script in scripts() if script.thread_id.startswith(few)]


async def fill(store: Store, clock: ManualClock, conversations: Sequence[Script]) -> None:
    """Write the example. The clock is that of the store, and shows the present at the end."""
    present = clock.now
    owners = cycle(OWNERS)
    for number, script in enumerate(conversations):
        age = (len(conversations) - number) ** 2 * 14 * DAY // len(conversations) ** 2
        clock.now = present - age - HOUR
        await _converse(store, clock, script, next(owners))
    clock.now = present - 50 * MINUTE
    await _refer(store, clock, conversations[-1])
    await _fail(store, clock, [script.thread_id for script in conversations])
    clock.now = present - 20 * MINUTE
    for script in conversations:
        if script.thread_id in QUESTIONS:
            await _ask(store, script, QUESTIONS[script.thread_id])
            clock.now += 4 * MINUTE
    await _write_documents(store)
    clock.now = present - 40 * SECOND
    await _work(store, clock, [script.thread_id for script in conversations[:9]])
    clock.now = present


def agent_of(script: Script) -> str:
    """Return the agent of a conversation: that of its shop."""
    return f"{script.thread_id.partition('-')[0]}-desk"


async def _converse(store: Store, clock: ManualClock, script: Script, owner: str) -> None:
    """Write a conversation, with a run for each turn and an entry that asked for it."""
    await store.threads.create(msgspec.structs.replace(script.opening, resource_id=owner))
    for turn in script.turns:
        await store.mailboxes.send(script.thread_id, turn.payload, sender_id=owner)
        [entry] = await store.mailboxes.claim(1, mailbox_id=script.thread_id, consumer="worker-1")
        await store.threads.append(script.thread_id, _question(script, turn, entry))
        clock.now += len(turn.answer) * 2_700
        async with store.batch() as step:
            step.threads.append(script.thread_id, _answer(script, turn, entry))
            step.mailboxes.ack(entry)
        clock.now += 95 * SECOND


def _question(script: Script, turn: Turn, entry: MailboxEntry) -> ThreadChangeSet:
    run_id = script.run_id(turn.number)
    return ThreadChangeSet(
        run_id=run_id,
        run_meta=_meta(script, entry, "running"),
        messages=_of_run(run_id, [turn.user]),
    )


def _answer(script: Script, turn: Turn, entry: MailboxEntry) -> ThreadChangeSet:
    run_id = script.run_id(turn.number)
    read = sum(len(str(message.content)) for message in script.messages) * turn.number // 3
    written = sum(len(str(message.content)) for message in turn.answer) // 3
    said = str(turn.user.content)[:40]
    patches = [
        track(Append(path=("asked",), value=said), source=agent_of(script)),
        track(Set(path=("turns",), value=turn.number), source=agent_of(script)),
    ]
    return ThreadChangeSet(
        run_id=run_id,
        run_meta=_meta(script, entry, "done", termination_code="natural", tokens=(read, written)),
        reason="AssistantTurnCommitted",
        messages=_of_run(run_id, turn.answer),
        patches=patches,
    )


def _meta(
    script: Script,
    entry: MailboxEntry | None,
    status: RunStatus,
    *,
    tokens: tuple[int, int] = (0, 0),
    termination_code: str | None = None,
    metadata: Json = None,
) -> RunMeta:
    return RunMeta(
        agent_id=agent_of(script),
        status=status,
        termination_code=termination_code,
        source_mailbox_entry_id=None if entry is None else entry.entry_id,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        metadata=metadata,
    )


def _of_run(run_id: str, messages: Sequence[Message]) -> list[Message]:
    return [
        msgspec.structs.replace(message, metadata=MessageMetadata(run_id=run_id, step_index=index))
        for index, message in enumerate(messages)
    ]


async def _refer(store: Store, clock: ManualClock, script: Script) -> None:
    """Fork a conversation, and let its agent ask two others, one of which asks a third."""
    await store.threads.fork(
        script.thread_id, f"{script.thread_id}-quieter", at=len(script.messages) - 2, state=None
    )
    parent = script.run_id(len(script.turns))
    for name, above in (("acoustics", parent), ("prices", parent), ("suppliers", "prices")):
        clock.now += 8 * SECOND
        changes = ThreadChangeSet(
            run_id=name,
            parent_run_id=above,
            run_meta=RunMeta(
                agent_id=name, origin="subagent", status="done", input_tokens=812, output_tokens=95
            ),
        )
        await store.threads.append(script.thread_id, changes)


async def _fail(store: Store, clock: ManualClock, thread_ids: Sequence[str]) -> None:
    """Let entries fail for good."""
    mailboxes = cycle(thread_ids)
    for error, (file, line, count) in ERRORS.items():
        trace = (
            f'Traceback (most recent call last):\n  File "{file}", line 41, in run\n    {line}\n'
        )
        for _ in range(count):
            mailbox_id = next(mailboxes)
            await store.mailboxes.send(mailbox_id, {"text": "And when do you open on Sunday?"})
            [entry] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer="worker-2")
            clock.now += 21 * SECOND
            await store.mailboxes.dead_letter(entry, error=error, traceback=trace + error)


async def _ask(store: Store, script: Script, question: str) -> None:
    """Pause a turn until somebody has answered its question."""
    thread_id, run_id = script.thread_id, f"{script.thread_id}-question"
    await store.mailboxes.send(thread_id, {"text": "Then please do that for me."})
    [entry] = await store.mailboxes.claim(1, mailbox_id=thread_id, consumer="worker-1")
    meta = _meta(
        script,
        entry,
        "waiting",
        tokens=(2_140, 66),
        metadata={
            "interrupts": [{"id": f"{run_id}-may", "reason": "tool_call", "message": question}]
        },
    )
    messages = [
        Message.user("Then please do that for me."),
        Message.assistant(question),
    ]
    changes = ThreadChangeSet(run_id=run_id, run_meta=meta, messages=_of_run(run_id, messages))
    async with store.batch() as step:
        step.threads.append(thread_id, changes)
        step.mailboxes.release(entry)
        step.mailboxes.pause(thread_id, reason=question)


async def _write_documents(store: Store) -> None:
    for owner in OWNERS:
        await store.documents.put("memories", (owner, "language"), {"speaks": "English"})
        await store.documents.put("memories", (owner, "tone"), "short answers, no emojis")
        await store.documents.put("profiles", owner, {"name": owner.title(), "since": 2026})
    for name in ("opening-hours", "price-list", "returns"):
        await store.documents.put("knowledge", name, {"text": f"What we know about {name}."})


async def _work(store: Store, clock: ManualClock, thread_ids: Sequence[str]) -> None:
    """Leave work in each status: claimed, to be retried, queued behind a claim, and scheduled."""
    claimed, retried, waiting = thread_ids[:3], thread_ids[3:5], thread_ids[5:7]
    for number, thread_id in enumerate(claimed, start=1):
        await store.mailboxes.send(thread_id, {"text": "Could you look that up?"})
        await store.mailboxes.claim(
            1, mailbox_id=thread_id, consumer=f"worker-{number}", lease_ms=90 * SECOND
        )
        await store.mailboxes.send(thread_id, {"text": "And one more thing."})
    for thread_id in retried:
        await store.mailboxes.send(thread_id, {"text": "Is the order on its way?"})
        [entry] = await store.mailboxes.claim(1, mailbox_id=thread_id, consumer="worker-3")
        retry_at = clock.now + 4 * MINUTE
        await store.mailboxes.nack(entry, error=RATE_LIMIT, retry_at=retry_at)
    for thread_id in waiting:
        await store.mailboxes.send(thread_id, {"text": "Thanks! Is Friday free, too?"})
    for hours, thread_id in enumerate(thread_ids[7:], start=2):
        reminder = {"text": "Remind them of the appointment."}
        await store.mailboxes.send(
            thread_id, reminder, origin="internal", sender_id="calendar", delay_ms=hours * HOUR
        )
