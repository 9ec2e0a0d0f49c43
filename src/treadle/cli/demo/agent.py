"""The scripted agent: one atomic step per turn."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import ceil

import msgspec

from treadle import MailboxEntry, Message, MessageMetadata, RunMeta, ThreadChangeSet
from treadle.cli.demo.script import Script, Turn
from treadle.worker import Delivery, Reject

AGENT = "scripted"
_PIECE_MS = 100
"""Between two pieces of an answer that is shown while the agent thinks."""


class ScriptedAgent:
    """Answers each turn with the script's messages, after pretending to think.

    Args:
        scripts: by thread id.
        think_ms: how long it thinks about each turn, in milliseconds.
        before_commit: awaited in the middle of a step: the entry is claimed, and nothing is
            written yet.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script],
        think_ms: int,
        before_commit: Callable[[MailboxEntry], Awaitable[None]],
    ) -> None:
        self._scripts = scripts
        self._think_ms = think_ms
        self._before_commit = before_commit

    async def __call__(self, delivery: Delivery) -> None:
        """Work one entry: the messages, the run, the next turn and the ack are one atomic step."""
        entry = delivery.entry
        script, turn = self._find(entry)
        await self._think(delivery, script, turn)
        await self._before_commit(entry)
        async with delivery.batch() as step:
            changes = _changes(script, turn, entry)
            step.threads.append(script.thread_id, changes)
            for following in script.turns[turn.number : turn.number + 1]:
                step.mailboxes.send(
                    script.thread_id,
                    following.payload,
                    dedupe_key=f"turn-{following.number}",
                    sender_id=AGENT,
                    origin="internal",
                )

    async def _think(self, delivery: Delivery, script: Script, turn: Turn) -> None:
        """Take the time, and meanwhile show who follows the thread the end of the answer."""
        pieces = self._think_ms // _PIECE_MS
        if not pieces or not turn.answer:
            await asyncio.sleep(self._think_ms / 1000)
            return
        message = turn.answer[-1]
        text = str(message.content)
        shown = delivery.store.live.message(
            script.thread_id, message.id or "", run_id=script.run_id(turn.number)
        )
        size = ceil(len(text) / pieces)
        for number in range(pieces):
            await shown.text(text[number * size : (number + 1) * size])
            await asyncio.sleep(self._think_ms / pieces / 1000)

    def _find(self, entry: MailboxEntry) -> tuple[Script, Turn]:
        try:
            script = self._scripts[entry.mailbox_id]
            return script, script.turns[entry.payload["turn"] - 1]
        except (LookupError, TypeError) as error:
            raise Reject(f"the script does not have this turn: {entry.payload!r}") from error


def _changes(script: Script, turn: Turn, entry: MailboxEntry) -> ThreadChangeSet:
    run_id = script.run_id(turn.number)
    message = msgspec.structs.replace(turn.user, content=entry.payload["text"])
    return ThreadChangeSet(
        run_id=run_id,
        run_meta=RunMeta(
            agent_id=AGENT,
            status="done",
            termination_code="natural",
            source_mailbox_entry_id=entry.entry_id,
        ),
        reason="AssistantTurnCommitted",
        messages=tuple(_with_run(run_id, message, *turn.answer)),
    )


def _with_run(run_id: str, *messages: Message) -> list[Message]:
    return [
        msgspec.structs.replace(message, metadata=MessageMetadata(run_id=run_id, step_index=index))
        for index, message in enumerate(messages)
    ]
