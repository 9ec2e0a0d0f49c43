"""Groups of calls that overlap: while the server works on one, another one is prepared.

A group is carried out beside another one if no call of it touches what a call of the other one
touches. Calls that touch the same stay in the order in which they came: one that has to wait keeps
back later ones that touch what it touches.
"""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Generic

import msgspec

from treadle.backends._group_thread import GROUP, HEAVY, CallT, GroupThread, Request
from treadle.backends.postgres._limits import COMMITTING_THREADS, LEAST_BESIDE, MOST_LOOKED_AT
from treadle.backends.postgres._touched import Touched


class _Waiting(msgspec.Struct, Generic[CallT], eq=False):
    """A request that waits, or is being carried out."""

    request: Request[CallT]
    weight: int
    touched: Touched | None = None


class Line(Generic[CallT]):
    """Requests in the order in which they came, and the groups that are being carried out.

    It waits for nothing, and one thread at a time may use it.

    Args:
        touched_by: what a call touches; it is asked only if two groups might overlap.
        weigh: returns the weight of a call; it counts as 1 at least.
    """

    def __init__(
        self,
        touched_by: Callable[[CallT], Touched],
        weigh: Callable[[CallT], int],
    ) -> None:
        self._touched_by = touched_by
        self._weigh = weigh
        self._waiting: list[_Waiting[CallT]] = []
        self._groups: dict[int, list[_Waiting[CallT]]] = {}
        """Those that are being carried out, by the identity of the list that was given out."""
        self._look_again()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def add(self, request: Request[CallT]) -> None:
        """Let a request wait."""
        self._waiting.append(_Waiting(request, max(1, self._weigh(request.call))))

    def end(self, group: list[Request[CallT]]) -> None:
        """Take note that a group was carried out."""
        del self._groups[id(group)]
        self._look_again()

    def take(self) -> list[Request[CallT]]:
        """Return the next group to carry out; nothing if there is none yet."""
        if self._groups:
            group = _fitting(self._beside())
        else:
            self._waiting = [each for each in self._waiting if each.request.is_wanted]
            found = self._waiting[:MOST_LOOKED_AT]
            group = self._half(found) or _fitting(found)
        return self._give_out(group) if group else []

    def _give_out(self, group: list[_Waiting[CallT]]) -> list[Request[CallT]]:
        given = set(map(id, group))
        self._waiting = [
            each for each in self._waiting if id(each) not in given and each.request.is_wanted
        ]
        requests = [each.request for each in group]
        self._groups[id(requests)] = group
        self._look_again()
        return requests

    def _look_again(self) -> None:
        """Forget what was found about those that wait: another group was begun or has ended."""
        self._looked_at = 0
        self._kept: Touched | None = None
        """What is touched by the groups, and by those that wait for them."""
        self._free: list[_Waiting[CallT]] = []
        self._free_weight = 0

    def _beside(self) -> list[_Waiting[CallT]]:
        """Those that may be carried out beside the groups, if they are worth a transaction."""
        some = self._waiting[self._looked_at : MOST_LOOKED_AT]
        if self._free_weight + sum(each.weight for each in some) < LEAST_BESIDE:
            return []
        if self._kept is None:
            self._kept = Touched()
            for group in self._groups.values():
                for each in group:
                    self._kept.add(self._touched(each))
        free = self._disjoint(some, self._kept)
        self._looked_at += len(some)
        self._free += free
        self._free_weight += sum(each.weight for each in free)
        return self._free if self._free_weight >= LEAST_BESIDE else []

    def _half(self, found: list[_Waiting[CallT]]) -> list[_Waiting[CallT]]:
        """The first half of those that wait, if the other one can be carried out beside it."""
        weight = sum(each.weight for each in found)
        if weight < 2 * LEAST_BESIDE:
            return []
        half = _fitting(found, weight // 2)
        kept = Touched()
        for each in half:
            kept.add(self._touched(each))
        rest = self._disjoint(found[len(half) :], kept)
        return half if sum(each.weight for each in rest) >= LEAST_BESIDE else []

    def _disjoint(self, some: list[_Waiting[CallT]], kept: Touched) -> list[_Waiting[CallT]]:
        """Those of `some` that touch nothing of `kept`; what the others touch is added to it."""
        found: list[_Waiting[CallT]] = []
        for each in some:
            if not each.request.is_wanted:
                continue
            touched = self._touched(each)
            if kept.meets(touched):
                kept.add(touched)
            else:
                found.append(each)
        return found

    def _touched(self, waiting: _Waiting[CallT]) -> Touched:
        if waiting.touched is None:
            try:
                waiting.touched = self._touched_by(waiting.request.call)
            except Exception:  # a mistake of ours: carrying it out raises it to the caller
                waiting.touched = Touched()
        return waiting.touched


def _fitting(some: list[_Waiting[CallT]], heavy: int = HEAVY) -> list[_Waiting[CallT]]:
    """The first ones, as many as are a group: it ends with the one that makes it heavy."""
    weight = 0
    for number, each in enumerate(some[:GROUP], start=1):
        weight += each.weight
        if weight >= min(heavy, HEAVY):
            return some[:number]
    return some[:GROUP]


class OverlappingGroups(GroupThread[CallT]):
    """Carries out calls in groups, as `GroupThread` does, but in two groups at a time.

    Few calls are still one group, because a second transaction costs more than it saves.

    Args:
        touched_by: what a call touches.
        arguments: those of `GroupThread`, of which `carry_out` is called on two threads.
    """

    _THREADS = COMMITTING_THREADS

    def __init__(
        self, *arguments: Any, touched_by: Callable[[CallT], Touched], **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._touched_by = touched_by
        self._begin()

    def start(self) -> None:
        """Start to accept calls, as `GroupThread.start` does."""
        self._begin()
        super().start()

    def _begin(self) -> None:
        # Held while a thread uses the line or takes requests. It is new, because a fork may have
        # copied one that was held.
        self._taking = Lock()
        self._line = Line(self._touched_by, self._weigh)
        self._ends = False
        self._wakes: SimpleQueue[None] = SimpleQueue()
        """Each item has one thread look whether there is a group for it."""

    def _hand_over(self, request: Request[CallT] | None) -> None:
        super()._hand_over(request)
        self._wakes.put(None)

    def _next_group(self) -> list[Request[CallT]]:
        """Wait until a group may be carried out, and return it; none if the thread is to end.

        Calls that wait for a group need no wake-up: the thread that carries it out looks then.
        """
        while True:
            with self._taking:
                self._receive()
                group = self._line.take()
                has_more = not self._line.is_empty
                is_over = self._ends and not group and not has_more
            if is_over or (group and has_more):
                self._wakes.put(None)  # there may be something for the other thread, or an end
            if group or is_over:
                return group
            self._wakes.get()

    def _receive(self) -> None:
        """Let all requests wait that were handed over."""
        with suppress(Empty):  # the wakes first: each comes after what was handed over
            while True:
                self._wakes.get_nowait()
        while not self._queue.empty():
            request = self._queue.get()
            if request is None:
                self._ends = True
            else:
                self._line.add(request)

    def _ended(self, group: list[Request[CallT]]) -> None:
        if group:
            with self._taking:
                self._line.end(group)
