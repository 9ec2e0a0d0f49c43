"""Tools and suites for those who test on Treadle, or write a backend for it: `treadle[testing]`.

The clocks need nothing more than Treadle; the suite is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from treadle.testing.clock import ManualClock, TickingClock

if TYPE_CHECKING:
    from treadle.testing.backend_conformance import BackendConformance
    from treadle.testing.certification import Outcome, Report, certify
    from treadle.testing.subject import Subject

__all__ = [
    "BackendConformance",
    "ManualClock",
    "Outcome",
    "Report",
    "Subject",
    "TickingClock",
    "certify",
]

_MODULES = {
    "BackendConformance": "backend_conformance",
    "Outcome": "certification",
    "Report": "certification",
    "Subject": "subject",
    "certify": "certification",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
