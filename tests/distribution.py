"""Distributes thousands of tests over processes: what xdist's `loadgroup` does, in less time.

`loadgroup` looks for a test among all tests when it hands it out, and counts all that a process has
done whenever a test ends. A process sends five messages for each test, of which one says something.
With 13,000 tests that takes longer than many of the tests.
"""

from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

ALONE = 600
"""So many tests are handed out one by one, at first, where the long ones are, and at last: then no
process has many left while the others have none."""
TOGETHER = 5
SLOW_SECONDS = 1.0


def run_and_report(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run a test, and report what there is to say: its result, and a setup that failed or was slow.

    The other reports are of setups and teardowns that have nothing to say.
    """
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed or report.duration > SLOW_SECONDS:
            item.ihook.pytest_runtest_logreport(report=report)


class Distribution(LoadGroupScheduling):  # type: ignore[misc]
    """Hands out the tests of a group together, in their order, and others a few at a time."""

    def schedule(self) -> None:
        """Begin, or begin again after a process has died."""
        if self.collection is None:
            tests = next(iter(self.registered_collections.values()))
            self._numbers = {nodeid: number for number, nodeid in enumerate(tests)}
            self._first, self._last = ALONE, len(tests) - ALONE
        super().schedule()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Forget a unit of work that is done, so that it is not counted again and again."""
        units = self.assigned_work[node]
        scope = self._split_scope(self.registered_collections[node][item_index])
        if sum(1 for is_done in units[scope].values() if not is_done) == 1:
            del units[scope]
            self._reschedule(node)
        else:
            super().mark_test_complete(node, item_index, duration)

    def _assign_work_unit(self, node: Any) -> None:
        scope, unit = self.workqueue.popitem(last=False)
        self.assigned_work[node][scope] = unit
        node.send_runtest_some([self._numbers[each] for each, done in unit.items() if not done])

    def _split_scope(self, nodeid: str) -> str:
        group: str = super()._split_scope(nodeid)
        number = self._numbers[nodeid]
        if group != nodeid or not self._first <= number < self._last:
            return group
        return f"{nodeid.partition('::')[0]} {number // TOGETHER}"
