"""Runs random histories: the same commands, batches and claims on the model and on a subject.

After every step both must have given the same results, errors included, and hold the same. Both
use one clock, which jumps forwards and backwards. Claim tokens are random: the first time one is
met, it is paired with the model's.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from treadle import MailboxEntry, Store
from treadle.backends.memory.backend import MemoryBackend
from treadle.core.claims import Hold, is_of_one_holder
from treadle.core.commands import AnyCommand, Commands
from treadle.testing._harness.call_results import result_or_error
from treadle.testing._harness.dump import (
    all_documents,
    all_entries,
    all_states,
    all_thread_ids,
    read_everything,
)
from treadle.testing._harness.json_diff import differences
from treadle.testing._harness.strategies import commands
from treadle.testing._harness.strategies.questions import questions
from treadle.testing._harness.strategies.times import nows
from treadle.testing._harness.strategies.world import World
from treadle.testing._harness.timeouts import with_timeout
from treadle.testing.clock import ManualClock
from treadle.testing.subject import Subject

Call = Callable[[Store, "Tokens"], Awaitable[Any]]
T = TypeVar("T")

_CLAIMED_FROM: tuple[dict[str, Any], ...] = (
    {},
    {},
    *({"mailbox_id": each} for each in commands.MAILBOXES),
    {"mailbox_prefix": "m"},
    {"mailbox_prefix": ("m1", "é")},
    {"except_prefix": "m1"},
)
"""The mailboxes that a claim may name."""
SHORT = settings(
    max_examples=10,
    stateful_step_count=40,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # shrinking a history may take minutes
    print_blob=False,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The effort of the suite: it takes seconds. A soak takes hours."""


class Tokens:
    """The tokens of the subject, paired with those of the model."""

    def __init__(self) -> None:
        self._of_subject: dict[str, str] = {}
        self._of_model: dict[str, str] = {}
        self._versions: dict[tuple[str, ...], int] = {}
        """The version of a document at the subject, by its collection, key and model's version."""

    def for_subject(self, batch: Commands) -> Commands:
        """Replace the model's tokens, and versions of documents, in a batch by the subject's."""
        return tuple(map(self._command_for_subject, batch))

    def _command_for_subject(self, command: AnyCommand) -> AnyCommand:
        if isinstance(command, commands.WITH_TOKEN):
            token = self._of_subject.get(command.claim_token, command.claim_token)
            return msgspec.structs.replace(command, claim_token=token)
        if isinstance(command, commands.GUARDED) and command.expected is not None:
            name = (command.collection, *command.key, str(command.expected))
            expected = self._versions.get(name, command.expected)
            return msgspec.structs.replace(command, expected=expected)
        return command

    def pair(self, found: Any, expected: Any) -> Any:
        """Replace the subject's tokens in a result by the model's; pair tokens that are new.

        The same with versions of documents, which each handle gives out by itself.
        """
        match found, expected:
            case {"collection": _, "version": _}, {"version": int(version)}:
                name = (found["collection"], *found["key"], str(version))
                known = self._versions.setdefault(name, found["version"])
                return {**found, "version": version} if found["version"] == known else found
            case {"version": int(), "created": _}, {"version": int(version)}:
                return {**found, "version": version}
            case {"raises": "VersionConflict", "kind": "document"}, {"kind": "document"}:
                return {**found, "expected": expected["expected"], "actual": expected["actual"]}
            case dict(), dict():
                return {
                    key: self._translate(item, expected.get(key))
                    if key == "claim_token"
                    else self.pair(item, expected.get(key))
                    for key, item in found.items()
                }
            case list(), list():
                padded = expected + [None] * len(found)
                return [self.pair(*both) for both in zip(found, padded, strict=False)]
            case _:
                return found

    def _translate(self, found: Any, expected: Any) -> Any:
        if isinstance(found, str) and isinstance(expected, str):
            if found not in self._of_model and expected not in self._of_subject:
                self._of_model[found] = expected
                self._of_subject[expected] = found
            return self._of_model.get(found, f"{found}, which is unknown")
        return found


class HistoryMachine(RuleBasedStateMachine):
    """The steps of a history; `compare_histories` sets the class attributes."""

    subject: Subject
    handle_counts: Sequence[int]
    """A history uses one of these numbers of handles."""
    scratch: Path
    """The folder in which each history creates its store."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = True
        self.clock = ManualClock()
        self.tokens = Tokens()
        self.claims: list[tuple[str, str]] = []
        self.subjects: list[Store] = []
        self.ends = ExitStack()

    def teardown(self) -> None:
        with self.ends:
            if self.sound and self.subjects:
                self.compare(*self.subjects)
                self.restart()

    # --- the steps -----------------------------------------------------------------------------

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Begin with a batch that mostly has threads, and work in several mailboxes."""
        self.handles = data.draw(st.sampled_from(self.handle_counts), label="handles")
        self.folder = Path(self.ends.enter_context(TemporaryDirectory(dir=self.scratch)))
        if self.subject.remove is not None:
            self.ends.callback(self.subject.remove, (self.folder,))
        self.runner = self.ends.enter_context(asyncio.Runner())
        self.model = self.run(Store(MemoryBackend(self.clock)).open())
        self.ends.callback(lambda: self.run(self.model.close()))
        for index in range(self.handles):
            self.subjects.append(self.opened())
            self.ends.callback(self.close, index)
        batch = data.draw(commands.beginnings())
        self.step(data, lambda store, _: store.commit(batch))

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        batch = data.draw(self.batches())
        self.step(data, lambda store, tokens: store.commit(tokens.for_subject(batch)))

    @rule(data=st.data())
    def commit_together(self, data: st.DataObject) -> None:
        """Make several commits at once: each succeeds or fails for itself, in their order."""
        batches = data.draw(st.lists(self.batches(), min_size=2, max_size=4))
        self.step(
            data,
            lambda store, tokens: asyncio.gather(
                *(result_or_error(store.commit(tokens.for_subject(batch))) for batch in batches)
            ),
        )

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        arguments: dict[str, Any] = {
            "limit": data.draw(st.sampled_from([5, 1, 2, 0])),
            "consumer": data.draw(st.sampled_from(["one", "two"])),
            "lease_ms": data.draw(commands.durations),
            **data.draw(st.sampled_from(_CLAIMED_FROM)),
            "now": data.draw(nows(self.clock.now)),
        }
        self.step(data, lambda store, _: store.mailboxes.claim(**arguments))

    @rule(data=st.data())
    def claim_entry(self, data: st.DataObject) -> None:
        entry_id = data.draw(self.world().known_entry_ids())
        arguments: dict[str, Any] = {
            "consumer": "three",
            "lease_ms": data.draw(commands.durations),
            "now": data.draw(nows(self.clock.now)),
        }
        self.step(data, lambda store, _: store.mailboxes.claim_entry(entry_id, **arguments))

    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """Commit what a worker commits: hold a claim, append, send, settle."""
        batch = data.draw(self.work_batches())
        self.step(data, lambda store, tokens: store.commit(tokens.for_subject(batch)))

    @rule(data=st.data())
    def take_more(self, data: st.DataObject) -> None:
        """Send work to a mailbox that is held, and let its holder take more than once."""
        world = self.world()
        batch = data.draw(commands.takes(world))
        self.step(data, lambda store, tokens: store.commit(tokens.for_subject(batch)))
        self.hold_each_claim(self.subjects[0])

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Read a listing or a page through any handle."""
        question = data.draw(questions(self.clock.now))
        reader = self.subjects[data.draw(st.integers(0, self.handles - 1), label="reader")]
        expected = self.run(result_or_error(question.ask(self.model)))
        self.check(self.run(result_or_error(question.ask(reader))), expected)

    @rule(data=st.data())
    def ask_together(self, data: st.DataObject) -> None:
        """Ask several queries at once through any handle."""
        drawn = data.draw(st.lists(questions(self.clock.now), min_size=2, max_size=4))
        queries = [self.run(question.query()) for question in drawn]
        reader = self.subjects[data.draw(st.integers(0, self.handles - 1), label="reader")]
        expected = self.run(result_or_error(self.model.read(*queries)))
        self.check(self.run(result_or_error(reader.read(*queries))), expected)

    @rule(milliseconds=st.sampled_from([1, 10, 1_000, 30_000, 10**9, -1, -1_000, -60_000]))
    def move_clock(self, milliseconds: int) -> None:
        self.clock.now += milliseconds

    @rule(data=st.data(), forward=st.sampled_from([1_000, 30_000, 10**6]))
    def jump_and_claim(self, data: st.DataObject, forward: int) -> None:
        """Claim while the clock is ahead; then it goes back, and at most one claim is held."""
        lease_ms = data.draw(commands.durations)
        self.clock.now += forward
        self.step(
            data, lambda store, _: store.mailboxes.claim(5, consumer="ahead", lease_ms=lease_ms)
        )
        self.clock.now -= data.draw(st.sampled_from([forward, forward // 2, 2 * forward]))
        subject = self.subjects[data.draw(st.integers(0, self.handles - 1), label="handle")]
        self.hold_each_claim(subject)

    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        """Close one handle and open it again, while the others stay open."""
        if self.is_durable():
            index = data.draw(st.integers(0, self.handles - 1))
            self.close(index)
            self.subjects[index] = self.opened()
            self.compare(self.subjects[index])

    @rule()
    def restart(self) -> None:
        """Close all handles, and open them again."""
        if self.is_durable():
            for index in range(self.handles):
                self.close(index)
            self.subjects = [self.opened() for _ in range(self.handles)]
        self.compare(*self.subjects)

    # --- the parts of a step --------------------------------------------------------------------

    def world(self) -> World:
        return self.run(read_world(self.model, self.clock.now, self.claims))

    def batches(self) -> st.SearchStrategy[Commands]:
        world = self.world()
        one = commands.commands(world)
        few = st.lists(one, min_size=1, max_size=1) | st.lists(one, max_size=5)
        plain = few.map(tuple)
        special = st.one_of(
            commands.renewals(world), commands.restarts(world), commands.rewrites(world)
        )
        return st.one_of(plain, plain, special, commands.failing(plain | special))

    @st.composite
    def work_batches(draw: st.DrawFn, self: "HistoryMachine") -> Commands:  # noqa: N805
        world = self.world()
        entry_id, token = draw(world.known_claims())
        claim: dict[str, Any] = {"entry_id": entry_id, "claim_token": token}
        steps = [
            draw(commands.appends(world)),
            draw(commands.sends(world.now)),
            draw(st.sampled_from(commands.SETTLEMENTS))(**claim),
        ]
        return (Hold(**claim), *draw(st.permutations(steps)))

    def is_durable(self) -> bool:
        return self.subjects[0].capabilities.durable

    def opened(self) -> Store:
        return self.run(Store(self.subject.make(self.folder, self.clock)).open())

    def close(self, index: int) -> None:
        self.run(self.subjects[index].close())

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        # Not `Runner.run`: for each call it sets a handler of signals, and describes it in a text.
        return self.runner.get_loop().run_until_complete(with_timeout(call))

    def step(self, data: st.DataObject, call: Call) -> None:
        """Make a call on the model and on one handle; compare the results and the contents.

        One handle, drawn for each step, reads the contents; at the end all of them do.
        """
        subject = self.subjects[data.draw(st.integers(0, self.handles - 1), label="handle")]
        expected = self.run(result_or_error(call(self.model, Tokens())))
        found = self.run(result_or_error(call(subject, self.tokens)))
        self.check(found, expected)
        reader = self.subjects[data.draw(st.integers(0, self.handles - 1), label="reader")]
        self.compare(reader)

    def hold_each_claim(self, subject: Store) -> None:
        """Try to hold each claim: those of each mailbox that are held are of one holder."""
        held: dict[str, MailboxEntry] = {}
        for entry in self.run(all_entries(self.model)):
            if entry.status != "claimed" or entry.claim_token is None:
                continue
            batch: Commands = (Hold(entry_id=entry.entry_id, claim_token=entry.claim_token),)
            expected = self.run(result_or_error(self.model.commit(batch)))
            found = self.run(result_or_error(subject.commit(self.tokens.for_subject(batch))))
            self.check(found, expected)
            if found == [None]:
                other = held.setdefault(entry.mailbox_id, entry)
                assert is_of_one_holder(entry, other), f"{other} is held, and {entry}"

    def compare(self, *subjects: Store) -> None:
        """Check that each handle reads exactly what the model holds."""
        expected = self.run(read_everything(self.model, commands.MAILBOXES))
        for subject in subjects:
            self.check(self.run(read_everything(subject, commands.MAILBOXES)), expected)

    def check(self, found: Any, expected: Any) -> None:
        """Check that the two are the same, apart from tokens."""
        listed = list(differences(self.tokens.pair(found, expected), expected, ordered=True))
        self.sound = not listed
        assert not listed, f"it differs from the model: {'; '.join(listed[:5])}"


def compare_histories(
    subject: Subject, folder: Path, handle_counts: Sequence[int], effort: settings
) -> None:
    """Run random histories on a subject and on the model, through so many handles.

    Raises:
        AssertionError: they differ; the error lists the steps that lead there.
    """
    members = {"subject": subject, "scratch": folder, "handle_counts": handle_counts}
    machine = type("History", (HistoryMachine,), members)
    with warnings.catch_warnings():
        # hypothesis warns when other code draws random numbers; a backend's threads may do that
        warnings.simplefilter("ignore", HypothesisWarning)
        run_state_machine_as_test(machine, settings=effort)


async def read_world(model: Store, now: int, claims: list[tuple[str, str]]) -> World:
    """Read what commands can refer to, and add the claims that are new to `claims`."""
    entries = await all_entries(model)
    for entry in entries:
        if entry.claim_token is not None and (entry.entry_id, entry.claim_token) not in claims:
            claims.append((entry.entry_id, entry.claim_token))
    states = await all_states(model)
    heads = [await model.threads.load(thread_id) for thread_id in await all_thread_ids(model)]
    return World(
        now=now,
        entry_ids=[entry.entry_id for entry in entries],
        claims=claims,
        generations={state.mailbox_id: state.current_generation for state in states},
        versions={head.thread.id: head.version for head in heads if head},
        documents={
            (document.collection, *document.key): document.version
            for document in await all_documents(model)
        },
    )
