"""The proof of the demo finds each kind of loss and duplication."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

import treadle
from tests.cli.support import in_store
from treadle.cli.demo.agent import ScriptedAgent
from treadle.cli.demo.play import send_first_turns
from treadle.cli.demo.proof import Proof, proof_as_json, prove
from treadle.cli.demo.script import Script, write_script
from treadle.core.mailboxes import MailboxEntry
from treadle.core.messages import Role
from treadle.worker import Worker

ROLES: tuple[Role, ...] = (
    *("system", "user", "assistant", "tool"),
    *("assistant", "user", "user", "assistant"),
)
SCRIPT = write_script(
    treadle.Thread(
        id="t",
        messages=tuple(
            treadle.Message(id=f"t-{position}", role=role, content=f"{role} {position}")
            for position, role in enumerate(ROLES)
        ),
    )
)
Tamper = Callable[[treadle.Store], Awaitable[Any]]


async def nothing(entry: MailboxEntry) -> None:
    pass


async def play(store: treadle.Store) -> None:
    await send_first_turns(store, (SCRIPT,))
    await Worker(store, ScriptedAgent({"t": SCRIPT}, 0, nothing)).run(until_idle=True)


def proof_after(tamper: Tamper) -> Proof:
    async def work(store: treadle.Store) -> Proof:
        await play(store)
        await tamper(store)
        return await prove(store, (SCRIPT,))

    return in_store("memory:", work)


async def leave_alone(store: treadle.Store) -> None:
    pass


def test_a_conversation_is_split_into_turns() -> None:
    assert [message.role for message in SCRIPT.opening.messages] == ["system"]
    assert [len(turn.messages) for turn in SCRIPT.turns] == [4, 1, 2]
    assert SCRIPT.turns[1].payload == {"turn": 2, "text": "user 5"}
    assert [message.id for message in SCRIPT.messages] == [f"t-{at}" for at in range(8)]


def test_a_conversation_without_a_user_has_no_turns() -> None:
    script = write_script(treadle.Thread(id="x", messages=(treadle.Message.system("hi"),)))
    assert script.turns == ()
    assert len(script.opening.messages) == 1


def test_a_run_id_is_never_too_long() -> None:
    for name in ("x" * 200, "ü" * 100, "t"):
        run_id = write_script(treadle.Thread(id=name)).run_id(12)
        assert len(run_id.encode()) <= 200
        assert run_id.endswith("-turn-12")


def test_the_proof_holds_for_a_complete_store() -> None:
    proof = proof_after(leave_alone)
    assert proof.holds
    [verdict] = proof.verdicts
    assert verdict.problems == ()
    assert (verdict.turns_found, verdict.turns_expected) == (3, 3)
    assert (verdict.messages_found, verdict.messages_expected) == (8, 8)
    assert (verdict.runs_done, verdict.entries_left, verdict.version) == (3, 0, 3)
    assert proof_as_json(proof)["ok"] is True


async def load(store: treadle.Store) -> treadle.Thread:
    head = await store.threads.load("t")
    assert head is not None
    return head.thread


async def replace_messages(store: treadle.Store, *messages: treadle.Message) -> None:
    """Replace the messages of the thread, and keep its version."""
    thread = await load(store)
    await store.threads.delete("t")
    await store.threads.create(msgspec.structs.replace(thread, messages=messages))
    for _ in SCRIPT.turns:
        await store.threads.append("t", treadle.ThreadChangeSet())


async def lose_the_thread(store: treadle.Store) -> None:
    await store.threads.delete("t")


async def lose_a_message(store: treadle.Store) -> None:
    messages = (await load(store)).messages
    await replace_messages(store, *messages[:3], *messages[4:])


async def lose_a_turn(store: treadle.Store) -> None:
    messages = (await load(store)).messages
    await replace_messages(store, *messages[:5], *messages[6:])


async def duplicate_a_turn(store: treadle.Store) -> None:
    thread = await load(store)
    again = [msgspec.structs.replace(message, id=None) for message in thread.messages[5:6]]
    await replace_messages(store, *thread.messages, *again)


async def swap_turns(store: treadle.Store) -> None:
    first, *rest = (await load(store)).messages
    await replace_messages(store, first, *rest[5:], *rest[:5])


async def change_a_word(store: treadle.Store) -> None:
    messages = list((await load(store)).messages)
    messages[4] = msgspec.structs.replace(messages[4], content="assistant 4!")
    await replace_messages(store, *messages)


async def change_an_id(store: treadle.Store) -> None:
    messages = list((await load(store)).messages)
    messages[4] = msgspec.structs.replace(messages[4], id="other")
    await replace_messages(store, *messages)


async def append_once_more(store: treadle.Store) -> None:
    await store.threads.append("t", treadle.ThreadChangeSet())


async def leave_a_run_running(store: treadle.Store) -> None:
    run = await store.runs.load(SCRIPT.run_id(2))
    assert run is not None
    await store.runs.upsert(msgspec.structs.replace(run, status="running"))


async def lose_a_run(store: treadle.Store) -> None:
    await store.runs.delete(SCRIPT.run_id(2))


async def add_a_run(store: treadle.Store) -> None:
    await store.runs.upsert(treadle.RunRecord(run_id="more", thread_id="t", status="done"))


async def leave_an_entry(store: treadle.Store) -> None:
    await store.mailboxes.send("t", {"turn": 3, "text": "user 6"})


async def lose_the_entries(store: treadle.Store) -> None:
    await store.mailboxes.purge(ended_before=2**62)


async def dead_letter_an_entry(store: treadle.Store) -> None:
    await store.mailboxes.send("t", {"turn": 4, "text": ""})
    [entry] = await store.mailboxes.claim(consumer="x")
    await store.mailboxes.dead_letter(entry, error="no")


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (lose_the_thread, "the thread is missing"),
        (lose_a_message, "there are 7 messages, not 8"),
        (lose_a_turn, "the turns are not each there exactly once and in order"),
        (duplicate_a_turn, "the turns are not each there exactly once and in order"),
        (swap_turns, "the turns are not each there exactly once and in order"),
        (change_a_word, "message 4 differs from the script"),
        (change_an_id, "message 4 differs from the script"),
        (append_once_more, "the version is 4, not 3"),
        (leave_a_run_running, "1 runs are not done"),
        (lose_a_run, "there are 2 runs"),
        (add_a_run, "there are 4 runs"),
        (leave_an_entry, "1 entries are not accepted"),
        (lose_the_entries, "there is not exactly one entry for each turn"),
        (dead_letter_an_entry, "1 entries are not accepted"),
    ],
)
def test_a_tampered_store_fails_the_proof(tamper: Tamper, problem: str) -> None:
    proof = proof_after(tamper)
    assert not proof.holds
    [verdict] = proof.verdicts
    assert any(problem in found for found in verdict.problems), verdict.problems
    assert proof_as_json(proof)["ok"] is False


def test_one_bad_conversation_fails_the_proof() -> None:
    other = write_script(treadle.Thread(id="absent"))

    async def work(store: treadle.Store) -> Proof:
        await play(store)
        return await prove(store, (SCRIPT, other))

    proof = in_store("memory:", work)
    assert [bool(verdict.problems) for verdict in proof.verdicts] == [False, True]
    assert not proof.holds


def test_redone_claims_are_counted_from_the_store() -> None:
    async def work(store: treadle.Store) -> Proof:
        await send_first_turns(store, (SCRIPT,))
        await store.mailboxes.claim(consumer="dies", lease_ms=0)
        await Worker(store, ScriptedAgent({"t": SCRIPT}, 0, nothing)).run(until_idle=True)
        return await prove(store, (SCRIPT,))

    proof = in_store("memory:", work)
    assert proof.holds
    assert proof.total("redone") == 1


def test_entries_that_the_script_does_not_have_are_rejected() -> None:
    async def work(store: treadle.Store) -> treadle.MailboxStats:
        await store.mailboxes.send("unknown", {"turn": 1})
        await store.mailboxes.send("t", "no turn")
        await Worker(store, ScriptedAgent({"t": SCRIPT}, 0, nothing)).run(until_idle=True)
        return await store.mailboxes.count_entries()

    assert in_store("memory:", work).dead_letter == 2


def test_scripts_are_values() -> None:
    assert isinstance(SCRIPT, Script)
    with pytest.raises(AttributeError):
        SCRIPT.turns = ()  # type: ignore[misc]
