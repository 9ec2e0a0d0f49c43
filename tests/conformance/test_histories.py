"""Random histories are made of everything; and long ones, for a soak."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import treadle.commands
from treadle.commands import Command, TimedCommand
from treadle.core.commands import AnyCommand
from treadle.testing import Subject
from treadle.testing._harness.history_machine import SHORT, compare_histories
from treadle.testing._harness.strategies import commands
from treadle.testing._harness.strategies.questions import Question, questions
from treadle.testing._harness.strategies.world import World
from treadle.testing.builtin_subjects import FILES, SQLITE
from treadle.testing.clock import START
from treadle.testing.conformance.concurrency import races

LONG = settings(
    SHORT,
    max_examples=2_000,
    stateful_step_count=80,
    phases=[Phase.generate, Phase.shrink],  # a soak has the minutes that it takes
)


class AllMet(Exception):
    """Ends a search: nothing is missing."""


@pytest.mark.soak
@pytest.mark.parametrize(
    ("subject", "handles"),
    [(FILES, 1), (FILES, 3), (SQLITE, 1), (SQLITE, 3)],
    ids=["files", "files, three handles", "sqlite", "sqlite, three handles"],
)
def test_a_long_history_is_the_model_s(tmp_path: Path, subject: Subject, handles: int) -> None:
    compare_histories(subject, tmp_path, (handles,), LONG)


@pytest.mark.soak
@pytest.mark.parametrize("subject", [FILES, SQLITE], ids=["files", "sqlite"])
@pytest.mark.parametrize("names", races.RACES)
def test_races_at_full_speed_end_as_one_after_the_other_many_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subject: Subject, names: str
) -> None:
    monkeypatch.setattr(races, "ROUNDS", 300)
    one, other = races.RACES[names]
    races.two_processes_at_full_speed_act_one_after_the_other(subject, tmp_path, one, other)


def test_histories_are_made_of_every_command() -> None:
    world = World(START, ["e0"], [("e0", "token")], {"m0": 0}, {"t0": 0})
    public = [getattr(treadle.commands, name) for name in treadle.commands.__all__]
    kinds = {each for each in public if isinstance(each, type) and issubclass(each, Command)}
    missing = kinds - {Command, TimedCommand}
    assert len(missing) > 20

    @settings(max_examples=200, phases=[Phase.generate], derandomize=True)
    @given(st.lists(commands.commands(world), min_size=20))
    def meet(drawn: list[AnyCommand]) -> None:
        missing.difference_update(map(type, drawn))
        if not missing:
            raise AllMet

    with suppress(AllMet):
        meet()
    assert missing == set()


def test_histories_ask_about_everything_that_is_listed() -> None:
    asked = set()

    @settings(max_examples=300, phases=[Phase.generate], derandomize=True)
    @given(questions(START))
    def meet(question: Question) -> None:
        asked.add((question.part, question.method))

    meet()
    assert asked == {
        ("threads", "list"),
        ("threads", "list_summaries"),
        ("threads", "list_messages"),
        ("threads", "load"),
        ("threads", "list_deltas"),
        ("runs", "list"),
        ("runs", "search"),
        ("runs", "count"),
        ("runs", "usage"),
        ("runs", "find_active"),
        ("mailboxes", "list"),
        ("mailboxes", "list_entries"),
        ("mailboxes", "explain"),
        ("mailboxes", "search_entries"),
        ("mailboxes", "list_summaries"),
        ("mailboxes", "load_claims"),
        ("mailboxes", "report"),
        ("mailboxes", "count_groups"),
        ("mailboxes", "errors"),
        ("mailboxes", "consumers"),
        ("mailboxes", "explain"),
        ("documents", "load_many"),
        ("documents", "list"),
        ("documents", "list_expired"),
        ("documents", "collections"),
    }
