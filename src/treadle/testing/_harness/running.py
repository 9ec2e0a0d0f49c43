"""Runs one check on one subject."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

from treadle.clock import system_clock
from treadle.testing._harness.check import GIVEN, Check
from treadle.testing._harness.harness import Harness
from treadle.testing._harness.timeouts import with_timeout
from treadle.testing.subject import CapabilityName, Subject

DEADLINE_SECONDS = 120
"""How long one asynchronous check may take as a whole."""


def declared_by(subject: Subject, folder: Path) -> frozenset[CapabilityName]:
    """Return what the subject declares: its backend's capabilities, and the fault hook."""
    capabilities = subject.make(folder, system_clock).capabilities
    declared: dict[CapabilityName, bool] = {
        "durable": capabilities.durable,
        "shared": capabilities.shared,
        "notifies": capabilities.notifies,
        "faults": subject.make_stepping is not None,
    }
    return frozenset(name for name, is_declared in declared.items() if is_declared)


def run(check: Check, subject: Subject, folder: Path) -> None:
    """Run a check on a new store in `folder`, an empty folder.

    Raises:
        AssertionError: the rule is broken; a note names the check and its guarantee.
        Exception: an error that the backend raised where it must not.
    """
    try:
        if inspect.iscoroutinefunction(check.function):
            asyncio.run(_run(check, subject, folder))
        else:
            _call(check, {"subject": subject, "folder": folder})
    except Exception as error:
        error.add_note(f"broken: {check.rule} ({check.guarantee})")
        raise
    finally:
        if subject.remove is not None:
            subject.remove((folder, *filter(Path.is_dir, folder.rglob("*"))))


async def _run(check: Check, subject: Subject, folder: Path) -> None:
    async with Harness(subject, folder) as harness:
        given: dict[str, object] = {
            "harness": harness,
            "store": harness.store,
            "clock": harness.clock,
        }
        await with_timeout(_call(check, given), DEADLINE_SECONDS)


def _call(check: Check, given: dict[str, object]) -> Any:
    wanted = inspect.signature(check.function).parameters.keys() & GIVEN
    return check.function(**{name: given[name] for name in wanted}, **check.variant)
