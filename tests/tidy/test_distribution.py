"""Each test is run by one process, once, and those of a group together."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests import distribution
from tests.distribution import ALONE, SLOW_SECONDS, TOGETHER, Distribution, run_and_report

TESTS = [f"tests/test_{number // 100}.py::test_{number}" for number in range(4 * ALONE)]
GROUPED = [f"tests/test_group.py::test_{number}@group" for number in range(7)]


class Process:
    """Takes the place of a process of xdist."""

    shutting_down = False
    gateway = SimpleNamespace(id="process")

    def __init__(self) -> None:
        self.given: list[list[int]] = []
        self.done = 0

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.given.append(numbers)

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def left(self) -> list[int]:
        return [number for numbers in self.given for number in numbers][self.done :]


def begun(processes: list[Any], tests: list[str]) -> Distribution:
    option = SimpleNamespace(loadscopereorder=False)
    config: Any = SimpleNamespace(
        getvalue=lambda name: [f"{len(processes)}*popen"], option=option, rootpath=None
    )
    distribution = Distribution(config)
    for process in processes:
        distribution.add_node(process)
        distribution.add_node_collection(process, tests)
    distribution.schedule()
    return distribution


def run_all(distribution: Distribution, processes: list[Any]) -> None:
    while any(process.left for process in processes):
        for process in filter(lambda each: each.left, processes):
            number = process.left[0]
            process.done += 1
            distribution.mark_test_complete(process, number)


def test_each_test_runs_once_and_a_group_in_one_process() -> None:
    processes = [Process(), Process(), Process()]
    tests = [*GROUPED, *TESTS]
    distribution = begun(processes, tests)
    run_all(distribution, processes)
    assert distribution.tests_finished
    units = [unit for process in processes for unit in process.given]
    assert sorted(number for unit in units for number in unit) == list(range(len(tests)))
    units.remove(list(range(len(GROUPED))))
    assert max(len(unit) for unit in units) == TOGETHER


def test_what_a_process_left_when_it_died_is_run_by_another() -> None:
    processes = [Process(), Process()]
    distribution = begun(processes, TESTS)
    died, other = processes
    crashed = distribution.remove_node(died)
    assert crashed == TESTS[died.given[0][0]]
    run_all(distribution, [other])
    assert sorted(number for unit in other.given for number in unit) == list(range(len(TESTS)))


def test_a_process_reports_results_and_what_fails_or_is_slow_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def report(when: str, *, passed: bool = True, duration: float = 0.0) -> SimpleNamespace:
        return SimpleNamespace(when=when, passed=passed, duration=duration)

    quick, result = report("setup"), report("call")
    slow = report("setup", duration=2 * SLOW_SECONDS)
    failed = report("teardown", passed=False)
    reports = [quick, result, slow, failed]
    monkeypatch.setattr(distribution, "runtestprotocol", lambda *_, **__: reports)
    said: list[object] = []

    def say(report: object) -> None:
        said.append(report)

    item: Any = SimpleNamespace(ihook=SimpleNamespace(pytest_runtest_logreport=say))
    run_and_report(item, None)
    assert said == [result, slow, failed]
