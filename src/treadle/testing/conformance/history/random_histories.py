"""Random histories: the backend gives the results of the model, step by step."""

from pathlib import Path

from treadle.backends.base import Guarantee
from treadle.testing._harness.check import Checks
from treadle.testing._harness.history_machine import SHORT, compare_histories
from treadle.testing._harness.running import declared_by
from treadle.testing.subject import Subject

checks = Checks(__name__)


@checks.add(Guarantee.ONE_ORDER)
def a_random_history_has_the_results_of_the_model(subject: Subject, folder: Path) -> None:
    """Some histories use one handle, and those of a shared store also three."""
    handle_counts = (1, 3) if "shared" in declared_by(subject, folder) else (1,)
    compare_histories(subject, folder, handle_counts, SHORT)
