"""Groups that overlap: calls that touch the same stay in order, and the others need not wait."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from treadle.backends._deadline import Deadline
from treadle.backends._group_thread import Request
from treadle.backends.postgres._limits import LEAST_BESIDE, MOST_LOOKED_AT
from treadle.backends.postgres._overlapping import Line, OverlappingGroups
from treadle.backends.postgres._touched import Touched

PART = "s"
"""What names with a capital letter share, and the name "s" has alone."""


class Call:
    """A call that touches each letter of its name."""

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name = name
        self.weight = weight
        self.touched = Touched(set(name), {PART} if name.lower() != name else set())


def touched_by(call: Call) -> Touched:
    return call.touched


def weigh(call: Call) -> int:
    return call.weight


def calls(*names: str) -> list[Call]:
    return [Call(name) for name in names]


ALPHABET = "abcdefghijklmnopqrtuvwxyz"
MANY = [chr(0x400 + number) for number in range(2 * LEAST_BESIDE)]
"""Names of calls that are enough for two groups, and touch nothing in common."""
HALF = MANY[:LEAST_BESIDE], MANY[LEAST_BESIDE:]


# --- the line, without threads --------------------------------------------------------------------


class Passed:
    """A line to which calls are added; it remembers their order."""

    def __init__(self) -> None:
        self.line = Line(touched_by, weigh)
        self.loop = asyncio.get_running_loop()
        self.requests: list[Request[Call]] = []

    def add(self, *added: Call) -> None:
        for call in added:
            future = self.loop.create_future()
            self.requests.append(Request(call, self.loop, future, Deadline.after(60)))
            self.line.add(self.requests[-1])

    def take(self) -> list[Request[Call]]:
        return self.line.take()


@pytest.fixture
async def passed() -> Passed:
    return Passed()


def names(group: Sequence[Request[Call]]) -> list[str]:
    return [request.call.name for request in group]


async def test_few_calls_are_one_group(passed: Passed) -> None:
    passed.add(*calls(*MANY[:-1]))
    assert names(passed.take()) == MANY[:-1]


async def test_many_calls_are_two_groups(passed: Passed) -> None:
    passed.add(*calls(*MANY))
    assert names(passed.take()) == HALF[0]
    assert names(passed.take()) == HALF[1]


async def test_calls_that_could_not_overlap_are_one_group(passed: Passed) -> None:
    passed.add(*calls(*"a" * len(MANY)))
    assert names(passed.take()) == ["a"] * len(MANY)


async def test_a_few_heavy_calls_are_two_groups(passed: Passed) -> None:
    passed.add(Call("a", LEAST_BESIDE), Call("b", LEAST_BESIDE))
    assert names(passed.take()) == ["a"]
    assert names(passed.take()) == ["b"]


async def test_a_few_calls_wait_for_more_or_for_the_group(passed: Passed) -> None:
    passed.add(*calls("a"))
    group = passed.take()
    passed.add(*calls(*HALF[0][:-1]))
    assert passed.take() == []
    passed.line.end(group)
    assert names(passed.take()) == HALF[0][:-1]


async def test_more_calls_make_enough(passed: Passed) -> None:
    passed.add(*calls("a"))
    passed.take()
    for name in HALF[0]:
        assert passed.take() == []
        passed.add(*calls(name))
    assert names(passed.take()) == HALF[0]


async def test_a_call_waits_for_a_group_that_touches_the_same(passed: Passed) -> None:
    passed.add(*calls("a"))
    group = passed.take()
    passed.add(*calls("a", *HALF[0]))
    assert names(passed.take()) == HALF[0]
    passed.line.end(group)
    assert passed.line.is_empty is False


async def test_a_call_that_waits_keeps_back_later_ones_that_touch_what_it_touches(
    passed: Passed,
) -> None:
    passed.add(*calls("a"))
    first = passed.take()
    passed.add(*calls("ab", "bc", "cd", *HALF[0]))
    beside = passed.take()
    assert names(beside) == HALF[0]
    passed.line.end(beside)
    passed.line.end(first)
    assert names(passed.take()) == ["ab", "bc", "cd"]


async def test_what_calls_share_keeps_back_who_wants_it_alone(passed: Passed) -> None:
    passed.add(*calls("A"))
    group = passed.take()
    passed.add(*calls(*HALF[0], "s", "B"))
    assert names(passed.take()) == HALF[0]
    passed.line.end(group)
    passed.add(*calls(*"CDEFGHIJKLMNOPQRTU"))
    assert passed.take() == []  # all wait for "s", and that for nobody: but it is too little


async def test_calls_that_share_overlap(passed: Passed) -> None:
    passed.add(*calls("A"))
    passed.take()
    passed.add(*calls(*"BCDEFGHIJKLMNOPQ"))
    assert names(passed.take()) == list("BCDEFGHIJKLMNOPQ")


async def test_a_call_that_nobody_wants_keeps_nobody_back(passed: Passed) -> None:
    passed.add(*calls("a"))
    passed.take()
    passed.add(*calls("ab", *["b"] * LEAST_BESIDE))
    passed.requests[1].future.cancel()
    assert names(passed.take()) == ["b"] * LEAST_BESIDE


async def test_calls_that_nobody_wants_are_forgotten(passed: Passed) -> None:
    passed.add(*calls(*"a" * (MOST_LOOKED_AT + 1)))
    for request in passed.requests[:-1]:
        request.future.cancel()
    assert names(passed.take()) == ["a"]
    passed.add(*calls(*MANY))
    for request in passed.requests:
        request.future.cancel()
    assert passed.take() == []


async def test_a_call_that_cannot_say_what_it_touches_is_carried_out(passed: Passed) -> None:
    def fail(call: Call) -> Touched:
        raise ZeroDivisionError

    passed.line = Line(fail, weigh)
    passed.add(*calls(*MANY))
    assert names(passed.take()) == HALF[0]
    assert names(passed.take()) == HALF[1]


async def test_what_calls_touch_is_asked_only_if_there_are_many(passed: Passed) -> None:
    def refuse(call: Call) -> Touched:
        raise AssertionError(call.name)

    passed.line = Line(refuse, weigh)
    passed.add(*calls("a"))
    group = passed.take()
    passed.add(*calls("b"))
    assert passed.take() == []
    passed.line.end(group)
    assert names(passed.take()) == ["b"]


def conflict(one: Call, other: Call) -> bool:
    """The rule, in other words than `Touched.meets`."""
    if set(one.name) & set(other.name):
        return True
    return any(
        PART in mine.name and other.name.lower() != other.name
        for mine, other in ((one, other), (other, one))
    )


@pytest.mark.parametrize("seed", range(60))
async def test_any_calls_are_carried_out_in_order_and_none_is_left(
    passed: Passed, seed: int
) -> None:
    """Two calls that touch the same are in one group in order, or the first has ended before."""
    chosen = random.Random(seed)
    letters = ALPHABET + ALPHABET.upper().replace("S", "") + PART
    letters = letters[: chosen.choice((5, 20, 60))]
    ended: set[int] = set()
    under_way: list[list[Request[Call]]] = []
    begun: dict[int, list[Request[Call]]] = {}

    def check(group: list[Request[Call]]) -> None:
        positions = [passed.requests.index(request) for request in group]
        assert positions == sorted(positions)
        for position in positions:
            mine = passed.requests[position]
            for before, other in enumerate(passed.requests[:position]):
                if before in ended or not other.is_wanted or not conflict(mine.call, other.call):
                    continue
                assert begun.get(before) is group
            begun[position] = group

    def carry_on(most: int) -> None:
        while len(under_way) > most:
            group = under_way.pop(chosen.randrange(len(under_way)))
            passed.line.end(group)
            ended.update(passed.requests.index(request) for request in group)

    def take() -> None:
        if len(under_way) < 2 and (group := passed.take()):
            for request in group:
                begun[passed.requests.index(request)] = group
            check(group)
            under_way.append(group)

    for _ in range(60):
        for _ in range(chosen.choice((0, 1, 3, 40))):
            name = "".join(chosen.sample(letters, chosen.choice((1, 1, 1, 2))))
            passed.add(Call(name, chosen.choice((1, 1, 1, 30))))
        if chosen.random() < 0.2 and passed.requests:
            request = chosen.choice(passed.requests)
            if passed.requests.index(request) not in begun:
                request.future.cancel()
        take()
        carry_on(chosen.choice((0, 1, 1, 2)))
    while not passed.line.is_empty:
        carry_on(chosen.choice((0, 1)))
        take()
        if not under_way:
            assert passed.line.is_empty
    left = [each for number, each in enumerate(passed.requests) if number not in begun]
    assert not any(request.is_wanted for request in left)


# --- on two threads -------------------------------------------------------------------------------


class Work:
    """Answers each call by its name: "x" when it is released; "y" fails with its group."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.released = threading.Event()
        self.ends = 0

    def carry_out(self, group: list[Call]) -> list[str]:
        found = [call.name for call in group]
        if "x" in found:
            self.has_begun.set()
            assert self.released.wait(10)
        if "y" in found:
            raise ZeroDivisionError
        return found

    def end(self) -> None:
        self.ends += 1


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def groups(work: Work) -> AsyncIterator[OverlappingGroups[Call]]:
    opened = OverlappingGroups("test", work.carry_out, work.end, weigh=weigh, touched_by=touched_by)
    opened.start()
    yield opened
    work.released.set()
    await opened.close()


async def ask_x(work: Work, groups: OverlappingGroups[Call]) -> "asyncio.Future[str]":
    """Have "x" carried out, and return once that has begun."""
    asked = groups.ask(Call("x"))
    await asyncio.to_thread(work.has_begun.wait, 10)
    return asked


async def test_a_group_is_carried_out_beside_another_one(
    work: Work, groups: OverlappingGroups[Call]
) -> None:
    slow = await ask_x(work, groups)
    for _ in range(2):
        asked = [groups.ask(call) for call in calls(*MANY)]
        assert await asyncio.gather(*asked) == MANY
    assert not slow.done()
    work.released.set()
    assert await slow == "x"


async def test_a_group_that_fails_leaves_the_other_one_alone(
    work: Work, groups: OverlappingGroups[Call]
) -> None:
    slow = await ask_x(work, groups)
    failing = [groups.ask(call) for call in calls(*["y"] * LEAST_BESIDE)]
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert {type(each) for each in outcomes} == {ZeroDivisionError}
    asked = [groups.ask(call) for call in calls(*HALF[0])]
    assert await asyncio.gather(*asked) == HALF[0]
    work.released.set()
    assert await slow == "x"


async def test_a_call_whose_caller_has_gone_keeps_nobody_back(
    work: Work, groups: OverlappingGroups[Call]
) -> None:
    first = await ask_x(work, groups)
    gone = groups.ask(Call("xb"))
    after = [groups.ask(Call("b")) for _ in MANY]
    gone.cancel()
    assert await asyncio.gather(*after) == ["b"] * len(MANY)
    assert not first.done()
    work.released.set()
    assert await first == "x"


async def test_closing_carries_out_what_was_accepted_and_ends_once(work: Work) -> None:
    groups = OverlappingGroups("test", work.carry_out, work.end, weigh=weigh, touched_by=touched_by)
    groups.start()
    asked = [await ask_x(work, groups)]
    asked += [groups.ask(call) for call in calls("x", *"abc", *MANY)]
    closing = asyncio.ensure_future(groups.close())
    await asyncio.sleep(0)
    work.released.set()
    await closing
    assert await asyncio.gather(*asked) == ["x", "x", *"abc", *MANY]
    assert work.ends == 1


async def test_a_store_that_is_opened_again_works(work: Work) -> None:
    groups = OverlappingGroups("test", work.carry_out, work.end, weigh=weigh, touched_by=touched_by)
    for _ in range(2):
        groups.start()
        assert await groups.ask(Call("a")) == "a"
        await groups.close()
    assert work.ends == 2


async def test_opening_ends_if_the_second_thread_cannot_start(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    groups = OverlappingGroups("test", work.carry_out, work.end, weigh=weigh, touched_by=touched_by)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start_one)
        with pytest.raises(RuntimeError):
            groups.start()
    assert (work.ends, started[0].is_alive(), groups.is_running) == (1, False, False)
