"""Running one check on one subject."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

from treadle.core.clock import system_clock
from treadle.testing.conformance.bench import Bench
from treadle.testing.conformance.check import GIVEN, Check, Need
from treadle.testing.patience import patient
from treadle.testing.subject import Subject

DEADLINE_SECONDS = 120
"""How long a check that is awaited may take as a whole."""


def offers(subject: Subject, place: Path) -> frozenset[Need]:
    """What the subject declares: its backend's capabilities, and the fault hook."""
    declared = subject.make(place, system_clock).capabilities
    offered: dict[Need, bool] = {
        "durable": declared.durable,
        "shared": declared.shared,
        "notifies": declared.notifies,
        "faults": subject.make_stepping is not None,
    }
    return frozenset(need for need, is_offered in offered.items() if is_offered)


def run(check: Check, subject: Subject, place: Path) -> None:
    """Try the rule on a new store at `place`, an empty folder.

    Raises:
        AssertionError: the rule is broken; the check and its guarantee are added as a note.
        Exception: whatever the backend raised where it should not have.
    """
    try:
        if inspect.iscoroutinefunction(check.attempt):
            asyncio.run(_run(check, subject, place))
        else:
            _call(check, {"subject": subject, "place": place})
    except Exception as error:
        error.add_note(f"broken: {check.rule} ({check.guarantee})")
        raise
    finally:
        if subject.remove is not None:
            subject.remove((place, *filter(Path.is_dir, place.rglob("*"))))


async def _run(check: Check, subject: Subject, place: Path) -> None:
    async with Bench(subject, place) as bench:
        given: dict[str, object] = {"bench": bench, "store": bench.store, "clock": bench.clock}
        await patient(_call(check, given), DEADLINE_SECONDS)


def _call(check: Check, given: dict[str, object]) -> Any:
    wanted = inspect.signature(check.attempt).parameters.keys() & GIVEN
    return check.attempt(**{name: given[name] for name in wanted}, **check.variant)
