"""Clocks and `work` for tests of handlers; the conformance suite for those who write a backend.

The first need nothing but Treadle. The suite, `treadle[testing]`, needs pytest and hypothesis, so
that it is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from treadle.testing.clock import ManualClock, TickingClock
from treadle.testing.working import work

if TYPE_CHECKING:
    from treadle.testing.backend_conformance import BackendConformance
    from treadle.testing.certification import CertificationReport, CheckResult, certify
    from treadle.testing.subject import Subject

__all__ = [
    "BackendConformance",
    "CertificationReport",
    "CheckResult",
    "ManualClock",
    "Subject",
    "TickingClock",
    "certify",
    "work",
]

_MODULES = {
    "BackendConformance": "backend_conformance",
    "CertificationReport": "certification",
    "CheckResult": "certification",
    "Subject": "subject",
    "certify": "certification",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
