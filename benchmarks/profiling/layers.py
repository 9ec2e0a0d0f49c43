"""Layers of the code, and a profiler that adds up the time of each.

The profiler is called at every call and return, in every thread that begins while it is installed.
The time between two of these events belongs to the layer of the innermost function that has one: a
function of the standard library counts for the layer that called it.
"""

import sys
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal, TypeAlias, get_args

import msgspec

import treadle

Layer: TypeAlias = Literal["caller", "hop", "rules", "program", "io", "waiting"]
"""Where time goes.

caller: the API and its checks, on the caller's event loop.
hop: the event loop, and the way to the backend's thread and back.
rules: the model, which decides what a commit changes.
program: the backend's own code: what it reads, the working set, statements.
io: SQLite, the files, or the database driver and its server; without syncs.
waiting: a thread waits for another, and uses no time itself.
"""
LAYERS: tuple[Layer, ...] = get_args(Layer)

_SOURCES = Path(treadle.__file__).parent
_FOLDERS: tuple[tuple[str, Layer], ...] = (
    (str(Path(__file__).parents[1]), "caller"),
    (str(_SOURCES / "backends" / "_group_thread.py"), "hop"),
    (str(_SOURCES / "backends" / "model"), "rules"),
    (str(_SOURCES / "backends"), "program"),
    (str(_SOURCES / "core"), "rules"),
    (str(_SOURCES), "caller"),
    (str(Path(threading.__file__).parent / "asyncio"), "hop"),
)
_IO = ("sqlite3", "posix", "nt", "_io", "fcntl", "select", "psycopg", "psycopg_binary", "psycopg_c")
"""Modules whose functions in C read and write."""
_CALLS = 500
_REPEATS = 50
"""Calls whose overhead is measured, so often."""


class Spent(msgspec.Struct, frozen=True):
    """The time of each layer, in seconds, without what the profiler took; and the calls."""

    layers: dict[Layer, float]
    calls: int


class Profiler:
    """Adds up the time of each layer while an operation runs, over this thread and others."""

    def __init__(self) -> None:
        self._overhead = _overhead()
        self._main = _Thread(is_main=True)
        self._threads = [self._main]

    @contextmanager
    def threads(self) -> Iterator[None]:
        """Profile the threads that begin meanwhile, for as long as they run."""
        threading.setprofile(self._begin)
        try:
            yield
        finally:
            threading.setprofile(None)

    async def run(self, operation: Awaitable[None]) -> Spent:
        """Run an operation, and return where the time went."""
        before, calls = self._times(), self._calls()
        self._main.begin()
        sys.setprofile(self._main.handle)
        try:
            await operation
        finally:
            sys.setprofile(None)
        after = self._times()
        return Spent(
            {layer: after[layer] - before[layer] for layer in LAYERS}, self._calls() - calls
        )

    def _begin(self, frame: FrameType, event: str, arg: Any) -> None:
        # called for the first event of a thread, which then has a handler with its own state
        thread = _Thread(is_main=False)
        self._threads.append(thread)
        sys.setprofile(thread.handle)

    def _times(self) -> dict[Layer, float]:
        return {
            layer: sum(
                thread.spent[layer] - thread.events[layer] * self._overhead
                for thread in self._threads
            )
            for layer in LAYERS
        }

    def _calls(self) -> int:
        # each call has two events
        return sum(sum(thread.events.values()) for thread in self._threads) // 2


class _Thread:
    """The time of each layer in one thread."""

    def __init__(self, *, is_main: bool) -> None:
        self.spent: dict[Layer, float] = dict.fromkeys(LAYERS, 0.0)
        self.events: dict[Layer, int] = dict.fromkeys(LAYERS, 0)
        self._is_main = is_main
        self._stack: list[Layer] = []
        self._by_code: dict[CodeType, Layer | None] = {}
        self.begin()

    def begin(self) -> None:
        """Forget the functions that were active, because their ends may have been missed."""
        self._stack = ["caller" if self._is_main else "hop"]
        self._last = time.perf_counter()

    def handle(self, frame: FrameType, event: str, arg: Any) -> None:
        """Add the time since the last event to the layer that was active."""
        now = time.perf_counter()
        stack = self._stack
        layer = stack[-1]
        self.spent[layer] += now - self._last
        self.events[layer] += 1
        match event:
            case "call":
                stack.append(self._layer_of(frame.f_code) or layer)
            case "c_call":
                stack.append(self._layer_of_builtin(arg) or layer)
            case _ if len(stack) > 1:
                stack.pop()
            case _:
                pass  # a function ends that began before the profiler
        self._last = time.perf_counter()

    def _layer_of(self, code: CodeType) -> Layer | None:
        if code not in self._by_code:
            self._by_code[code] = _layer_of_file(code.co_filename, is_main=self._is_main)
        return self._by_code[code]

    def _layer_of_builtin(self, function: Any) -> Layer | None:
        module = function.__module__ or type(function.__self__).__module__
        if (module == "_queue" and function.__name__ == "get") or function.__name__ == "acquire":
            return "waiting"
        if module == "select" and self._is_main:
            return "waiting"  # the event loop, which waits for the backend's thread
        return "io" if module.partition(".")[0] in _IO else None


def _layer_of_file(file: str, *, is_main: bool) -> Layer | None:
    for folder, layer in _FOLDERS:
        if file.startswith(folder):
            # the caller checks its arguments with functions of the model
            return "caller" if layer == "rules" and is_main else layer
    return "io" if f"{Path('/psycopg')}/" in file else None


def _overhead() -> float:
    """Measure how long an event takes that the profiler cannot see: the way to it and back."""

    def nothing() -> None:
        pass

    def call_often() -> None:
        for _ in range(_CALLS):
            nothing()

    plain: list[float] = []
    seen: list[float] = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call_often()
        plain.append(time.perf_counter() - start)
        thread = _Thread(is_main=True)
        sys.setprofile(thread.handle)
        try:
            call_often()
        finally:
            sys.setprofile(None)
        seen.append(sum(thread.spent.values()))
    # the quickest of each, because another process may have run meanwhile
    return max(0.0, min(seen) - min(plain)) / (2 * _CALLS)
