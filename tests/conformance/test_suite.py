"""The suite itself: what its checks cite, and what they are made of."""

import asyncio
from pathlib import Path

import pytest

from treadle import NotFound, Thread
from treadle.backends.base import Backend, Guarantee
from treadle.testing import certify
from treadle.testing._harness.check import Check, Checks
from treadle.testing._harness.expect import expect, refused
from treadle.testing._harness.harness import Harness
from treadle.testing.builtin_subjects import FILES, MEMORY
from treadle.testing.certification import CAPABILITIES, FACETS, run_check
from treadle.testing.conformance import SUITE


def test_every_guarantee_is_tried() -> None:
    assert {check.guarantee for check in SUITE} == set(Guarantee)
    assert [guarantee.value for guarantee in Guarantee] == list(range(1, len(Guarantee) + 1))


def test_every_facet_and_every_capability_has_checks() -> None:
    assert {check.facet for check in SUITE} == set(FACETS)
    assert {need for check in SUITE for need in check.needs} == set(CAPABILITIES)


def test_every_check_has_a_name_of_its_own() -> None:
    names = [str(check) for check in SUITE]
    assert len(set(names)) == len(names) > 500


def test_a_backend_has_six_methods_and_its_capabilities() -> None:
    members = {name for name in vars(Backend) if not name.startswith("_")}
    assert members == {"capabilities", "open", "close", "commit", "claim", "wait", "read"}


def test_a_guarantee_says_its_number_and_name() -> None:
    assert str(Guarantee.ONE_HOLDER) == "guarantee 5, one holder"


def test_variants_are_checks_of_their_own() -> None:
    checks = Checks("treadle.testing.conformance.threads.writes")

    @checks.add(Guarantee.ONE_ORDER, "durable", each={"one": 1, "two": 2})
    async def a_thread_s_rule(harness: Harness, number: int) -> None: ...

    @checks.add(Guarantee.ONE_ORDER, each=[("a", "b")])
    async def another(left: str, right: str) -> None: ...

    first, second, third = checks
    assert (first.rule, second.rule) == ("a thread's rule: one", "a thread's rule: two")
    assert (first.variant, second.variant) == ({"number": 1}, {"number": 2})
    assert first.needs == {"durable"}
    assert third.variant == {"left": "a", "right": "b"}


def test_expect_says_what_was_found_and_what_was_due() -> None:
    expect([1], [1])
    with pytest.raises(AssertionError, match=r"found 1, where 2 was due"):
        expect(1, 2)
    with pytest.raises(AssertionError, match=r"^\$\.state: 1 is not 2$"):
        expect(Thread(id="t", state=1), Thread(id="t", state=2))


def test_refused_wants_the_error_that_is_due() -> None:
    with refused(NotFound) as caught:
        raise NotFound("thread", "t")
    assert caught.value.key == "t"
    with pytest.raises(AssertionError, match="NotFound was due"), refused(NotFound):
        pass
    with pytest.raises(ValueError, match="another"), refused(NotFound):
        raise ValueError("another")


def made(function: object, *needs: str) -> Check:
    return Check(
        facet="threads",
        module="writes",
        rule="it works",
        guarantee=Guarantee.ONE_ORDER,
        needs=frozenset(needs),  # type: ignore[arg-type]
        function=function,  # type: ignore[arg-type]
        variant={},
    )


async def wrong(harness: Harness) -> None:
    expect(await harness.store.threads.load("t"), Thread(id="t"))


async def crash(harness: Harness) -> None:
    raise OSError("the disk is gone")


def test_a_failure_tells_what_was_found_and_where(tmp_path: Path) -> None:
    outcome = run_check(made(wrong), MEMORY, tmp_path)
    assert outcome.status == "failed"
    assert outcome.detail.startswith("found None, where Thread(")
    outcome = run_check(made(crash), MEMORY, tmp_path)
    assert outcome.detail.startswith("OSError: the disk is gone\nat test_suite.py:")
    assert list(tmp_path.iterdir()) == []


def test_a_report_counts_every_check_and_leaves_none_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def right(harness: Harness) -> None: ...

    checks = (made(right), made(right, "durable"), made(wrong), made(right, "shared", "faults"))
    monkeypatch.setattr("treadle.testing.certification.SUITE", checks)
    statuses: list[str] = []
    report = certify(
        MEMORY, folder=tmp_path, on_result=lambda result: statuses.append(result.status)
    )
    assert statuses == ["passed", "not declared", "failed", "not declared"]
    assert not report.is_certified
    assert (report.total.ran, report.total.passed, report.total.not_declared) == (2, 1, 2)
    assert report.of_capability("durable").not_declared == 1
    assert report.of_facet("threads").failed == 1
    assert certify(FILES, folder=tmp_path).total.ran == 4
    assert list(tmp_path.iterdir()) == []


def test_a_bench_closes_what_it_opened(tmp_path: Path) -> None:
    async def work() -> list[object]:
        async with Harness(FILES, tmp_path) as harness:
            return [harness.store, await harness.open()]

    for store in asyncio.run(work()):
        with pytest.raises(Exception, match="closed"):
            asyncio.run(store.threads.list())  # type: ignore[attr-defined]
