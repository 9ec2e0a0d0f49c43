"""The proof: the content of the store, compared with the script.

Nothing that the workers reported is used: every number comes from the store.
"""

from collections.abc import Iterable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import groupby

import msgspec

from treadle import Json, MailboxEntry, Message, RunRecord, Store, ThreadHead, encode
from treadle.cli.concurrency import map_in_order
from treadle.cli.demo.script import Script
from treadle.store.pages import every_by_cursor

_CONCURRENCY = 8


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the store for one conversation."""

    head: ThreadHead | None
    runs: tuple[RunRecord, ...]
    entries: tuple[MailboxEntry, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The expected and the actual numbers of one conversation, and its problems."""

    thread_id: str
    turns_expected: int
    turns_found: int
    messages_expected: int
    messages_found: int
    runs_done: int
    entries_left: int
    version: int | None
    redone: int
    """Claims after the first one of each entry."""
    problems: tuple[str, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on all conversations."""

    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Return True if no conversation has a problem."""
        return not any(verdict.problems for verdict in self.verdicts)

    def total(self, name: str) -> int:
        """Return the sum of a number over all conversations."""
        return sum(getattr(verdict, name) or 0 for verdict in self.verdicts)


async def prove(store: Store, scripts: Iterable[Script]) -> Proof:
    """Read the content of the store and judge it."""

    async def judge_one(script: Script) -> Verdict:
        return judge(script, await _gather(store, script.thread_id))

    async with aclosing(map_in_order(judge_one, scripts, _CONCURRENCY)) as verdicts:
        return Proof(verdicts=tuple([verdict async for verdict in verdicts]))


def judge(script: Script, evidence: Evidence) -> Verdict:
    """Compare the evidence with the script."""
    head = evidence.head
    messages = head.thread.messages if head else ()
    return Verdict(
        thread_id=script.thread_id,
        turns_expected=len(script.turns),
        turns_found=len(set(_turns_of(messages)) & _run_ids(script)),
        messages_expected=len(script.messages),
        messages_found=len(messages),
        runs_done=sum(run.status == "done" for run in evidence.runs),
        entries_left=sum(entry.status != "accepted" for entry in evidence.entries),
        version=head.version if head else None,
        redone=sum(max(entry.attempt_count - 1, 0) for entry in evidence.entries),
        problems=tuple(_find_problems(script, evidence)),
    )


def _find_problems(script: Script, evidence: Evidence) -> Iterator[str]:
    if evidence.head is None:
        yield "the thread is missing"
        return
    messages, turns = evidence.head.thread.messages, len(script.turns)
    yield from _compare_messages(script.messages, messages)
    wanted = [script.run_id(turn.number) for turn in script.turns]
    if _turns_of(messages) != wanted:
        yield "the turns are not each there exactly once and in order"
    if evidence.head.version != turns:
        yield f"the version is {evidence.head.version}, not {turns}: one for each turn"
    if sorted(run.run_id for run in evidence.runs) != sorted(wanted):
        yield f"there are {len(evidence.runs)} runs, not {turns}: one for each turn"
    unfinished = sum(run.status != "done" for run in evidence.runs)
    if unfinished:
        yield f"{unfinished} runs are not done"
    yield from _check_entries(evidence.entries, turns)


def _compare_messages(wanted: tuple[Message, ...], found: tuple[Message, ...]) -> Iterator[str]:
    if len(wanted) != len(found):
        yield f"there are {len(found)} messages, not {len(wanted)}"
    for index, (message, other) in enumerate(zip(wanted, found, strict=False)):
        if _without_run(message) != _without_run(other):
            yield f"message {index} differs from the script"
            return


def _without_run(message: Message) -> bytes:
    return encode(msgspec.structs.replace(message, metadata=None))


def _check_entries(entries: tuple[MailboxEntry, ...], turns: int) -> Iterator[str]:
    left = sum(entry.status != "accepted" for entry in entries)
    if left:
        yield f"{left} entries are not accepted"
    if sorted(map(_turn_of, entries)) != list(range(1, turns + 1)):
        yield "there is not exactly one entry for each turn"


def _turn_of(entry: MailboxEntry) -> int:
    turn = entry.payload.get("turn") if isinstance(entry.payload, dict) else None
    return turn if isinstance(turn, int) else -1


def _turns_of(messages: tuple[Message, ...]) -> list[str]:
    """Return the runs that wrote the messages, in order."""
    # A run whose messages are not all together counts twice: its turn was mixed with another.
    runs = (message.metadata.run_id if message.metadata else None for message in messages)
    return [run_id for run_id, _ in groupby(runs) if run_id is not None]


def _run_ids(script: Script) -> set[str]:
    return {script.run_id(turn.number) for turn in script.turns}


async def _gather(store: Store, thread_id: str) -> Evidence:
    entries = partial(store.mailboxes.search_entries, mailbox_id=thread_id)
    runs = partial(store.runs.search, thread_id=thread_id)
    return Evidence(
        head=await store.threads.load(thread_id),
        runs=tuple([run async for run in every_by_cursor(runs)]),
        entries=tuple([entry async for entry in every_by_cursor(entries)]),
    )


def proof_as_json(proof: Proof) -> dict[str, Json]:
    """Return the proof as a part of the JSON of `treadle demo --json`."""
    names = ("turns_expected", "turns_found", "messages_expected", "messages_found")
    counts = (*names, "runs_done", "entries_left", "redone")
    return {
        "ok": proof.holds,
        "totals": {
            "conversations": len(proof.verdicts),
            **{name: proof.total(name) for name in counts},
        },
        "conversations": [msgspec.to_builtins(verdict) for verdict in proof.verdicts],
    }
