"""Random histories are the same on every backend, with one handle or several."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from tests import commands
from tests.clocks import START
from tests.store.histories import OpenSubject, make_machine
from weft import Store, open_store
from weft.backends.memory.backend import MemoryBackend
from weft.backends.memory.tables import Tables
from weft.core.clock import Clock
from weft.core.commands import Batch, Command, Receipt
from weft.core.mailboxes import ClaimRequest, MailboxEntry
from weft.core.runs import RunPage, RunQuery


def open_memory(folder: Path, clock: Clock) -> Store:
    return open_store("memory:", clock=clock)


def open_files(folder: Path, clock: Clock) -> Store:
    return open_store(folder / "store", clock=clock)


def open_relaxed_files(folder: Path, clock: Clock) -> Store:
    return open_store(folder / "store", clock=clock, durability="relaxed")


SUBJECTS: dict[str, tuple[OpenSubject, int]] = {
    "memory": (open_memory, 1),
    "files": (open_files, 1),
    "files, three handles": (open_relaxed_files, 3),
}
SHORT = settings(max_examples=20, stateful_step_count=25)
LONG = settings(max_examples=2_000, stateful_step_count=80)
HUNT = settings(
    SHORT,
    max_examples=300,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    print_blob=False,
    database=None,
)


@pytest.mark.parametrize(("subject", "handles"), SUBJECTS.values(), ids=SUBJECTS)
def test_a_history_is_the_model_s(subject: OpenSubject, handles: int) -> None:
    run_state_machine_as_test(make_machine(subject, handles), settings=SHORT)


@pytest.mark.soak
@pytest.mark.parametrize(("subject", "handles"), SUBJECTS.values(), ids=SUBJECTS)
def test_a_long_history_is_the_model_s(subject: OpenSubject, handles: int) -> None:
    run_state_machine_as_test(make_machine(subject, handles), settings=LONG)


class HalfDone(MemoryBackend):
    """Writes what comes before the command that fails."""

    async def commit(self, batch: Batch) -> Receipt:
        for command in batch:
            await super().commit((command,))
        return await super().commit(())


class Unsorted(MemoryBackend):
    """Lists the runs newest first."""

    async def list_runs(self, query: RunQuery) -> RunPage:
        page = await super().list_runs(query)
        return RunPage(items=page.items[::-1], total=page.total, has_more=page.has_more)


class Unfair(Tables):
    """Takes the last in line first."""

    def find_claimable(self, request: ClaimRequest, now: int) -> list[MailboxEntry]:
        return list(super().find_claimable(request, now))[::-1]


class Leaky(Tables):
    """Does not take back what a failed batch did."""

    def rollback(self) -> None:
        self._before.clear()


class Forgetful(Tables):
    """Never finds a dedupe key again."""

    def find_duplicate(self, mailbox_id: str, dedupe_key: str) -> MailboxEntry | None:
        return None


def on_tables(kind: type[Tables]) -> Callable[[Clock], MemoryBackend]:
    def make(clock: Clock) -> MemoryBackend:
        backend = MemoryBackend(clock)
        backend._data = kind()
        return backend

    return make


SABOTEURS: dict[str, Callable[[Clock], MemoryBackend]] = {
    "half done": HalfDone,
    "unsorted": Unsorted,
    "unfair": on_tables(Unfair),
    "leaky": on_tables(Leaky),
    "forgetful": on_tables(Forgetful),
}


@pytest.mark.parametrize("make", SABOTEURS.values(), ids=SABOTEURS)
def test_a_subject_that_is_not_the_model_is_found_out(
    make: Callable[[Clock], MemoryBackend],
) -> None:
    machine = make_machine(lambda folder, clock: Store(make(clock)))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=HUNT)


def test_histories_are_made_of_every_command() -> None:
    world = commands.World(START, ["e0"], [("e0", "token")], {"m0": 0}, {"t0": 0})
    missing = set(get_args(Command))

    @settings(max_examples=1_000, phases=[Phase.generate], derandomize=True)
    @given(commands.commands(world))
    def meet(command: Command) -> None:
        missing.discard(type(command))

    meet()
    assert missing == set()
