"""Live values from process to process, in a file beside the store: the last ones, in a ring.

The file is created when somebody first publishes or follows. It is never synced, and everything in
it may be lost. One thread writes what this process publishes, and reads what others have published.
"""

import logging
import math
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from treadle.backends._deadline import Patience
from treadle.backends._fair_lock import LockFile, hold
from treadle.backends._forks import give_up_in_children
from treadle.backends._identity import identity
from treadle.backends._plain_files import open_plain
from treadle.backends._ring import Ring
from treadle.backends._sleepers import ASLEEP_SECONDS, Sleeper, Sleepers
from treadle.backends.live import LiveFollower, LiveValue, LiveValues, packets_of, values_in
from treadle.clock import new_token
from treadle.errors import StoreUnavailable

_LOG = logging.getLogger("treadle.live")

CAPACITY = 2**20
_PACKET_BYTES = 2**16
_MOST_PENDING = 10_000
"""Most values that wait to be written; the oldest ones go first."""
_SLEEPERS_START = CAPACITY + 64
_LOOK_SECONDS = (0.006, 0.01)
"""How often to look for new values while others publish, and where nobody can wake this process.
Random, so that many processes do not look at the same moment."""
_WRITE_PAUSE_SECONDS = 0.004
"""The pause after writing, in which values are collected for the next packet."""
_LOCK_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_PATH_SECONDS = 0.1
"""How often to look whether the path still leads to the open file."""


class LiveFile:
    """Carries live values between the processes that use a store.

    Args:
        path: the file.
        mode: returns the mode of the file, if it has to be created.
        read_only: create and write nothing; nobody may call `publish` or `clear`.
    """

    def __init__(self, path: str, mode: Callable[[], int], *, read_only: bool = False) -> None:
        self._path = path
        self._mode = mode
        self._read_only = read_only
        self._values = LiveValues()
        self._name = new_token()
        self._pending: deque[LiveValue] = deque(maxlen=_MOST_PENDING)
        self._changed = threading.Condition()
        """Guards all that follows; is notified when there is work."""
        self._file: _OpenFile | None = None
        self._heard = 0
        """The position up to which this process has read."""
        self._hears_more = False
        """Whether the last look has found values: more may follow soon."""
        self._was_woken = False
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._looked_at_path = -math.inf
        give_up_in_children(self)

    def publish(self, value: LiveValue) -> None:
        """Give a value to all followers, in other processes soon.

        Raises:
            StoreUnavailable: the file cannot be used, or the process may have no more threads.
        """
        with self._changed:
            self._start()
            self._pending.append(value)
            self._notify()
        self._values.give((value,))

    def follow(self, thread_id: str) -> LiveFollower:
        """Begin to follow a thread on the running event loop.

        Raises:
            StoreUnavailable: the file cannot be used, or the process may have no more threads.
        """
        with self._changed:
            self._start()
            if not self._values.are_followed:
                self._heard = self._file.ring.end() if self._file else 0
            follower = self._values.follow(thread_id)
            self._notify()
        return follower

    def clear(self) -> None:
        """Remove all values from the file, if it exists.

        Raises:
            StoreUnavailable: the file cannot be used, or others keep its lock.
        """
        if not os.path.exists(self._path):
            return
        with self._translate_errors():
            file = _OpenFile.open(self._path, self._mode())
            try:
                with file.locked(Patience.of(_LOCK_SECONDS)):
                    file.ring.clear()
            finally:
                file.close()

    def end_followers(self) -> None:
        """End all who follow: the store is closing."""
        self._values.close()

    def close(self) -> None:
        """End all followers and the thread, and close the file; may be called twice."""
        self._values.close()
        with self._changed:
            self._is_closing = True  # what is pending is still written
            self._notify()
        if self._thread is not None:
            self._thread.join()
        with self._changed:
            self._close_file()
            self._thread, self._is_closing = None, False

    def give_up(self) -> None:
        """Close the file in a forked child."""
        self._changed = threading.Condition()  # the parent's thread may have held it
        self._thread = None
        file, self._file = self._file, None
        if file is not None:
            file.give_up()

    def _start(self) -> None:
        self._open()
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._work, name="treadle-live", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the process may have no more; the next call tries again
                reason = f"live values need a thread: {error}"
                raise StoreUnavailable(self._path, reason) from error
            self._thread = thread

    def _open(self) -> None:
        """Open the file; if the store is only read, a missing one stays missing."""
        if self._file is not None:
            return
        with self._translate_errors():
            if not self._read_only:
                self._file = _OpenFile.open(self._path, self._mode())
            elif os.path.exists(self._path):
                self._file = _OpenFile.open(self._path)

    @contextmanager
    def _translate_errors(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(self._path, f"live values need this file: {error}") from error

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _notify(self) -> None:
        """Let the thread see that something has changed; the caller holds `_changed`."""
        self._changed.notify()
        if self._file is not None and self._file.sleeper is not None:
            self._file.sleeper.wake()

    def _work(self) -> None:
        pause, is_last = 0.0, False
        while not is_last:
            try:
                self._wait(pause)
                is_last = self._is_closing
                pause = self._exchange()
            except (OSError, StoreUnavailable) as error:
                _LOG.warning("live values do not reach other processes: %s", error)
                pause = _RETRY_SECONDS

    def _wait(self, pause: float) -> None:
        """Wait until there is something to do, at least `pause` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, pause)
            while not (self._is_closing or self._pending or self._values.are_followed):
                self._changed.wait()
            if self._is_closing or self._pending:
                return
            sleeper = self._fall_asleep()
            if sleeper is None:
                self._changed.wait(random.uniform(*_LOOK_SECONDS))  # noqa: S311
                return
        self._was_woken = sleeper.wait(random.uniform(*ASLEEP_SECONDS))  # noqa: S311
        if not self._was_woken:
            self._note_if_missed(sleeper)

    def _fall_asleep(self) -> Sleeper | None:
        """Fall asleep until others publish; None if more may follow, or it cannot be woken."""
        was_woken, self._was_woken = self._was_woken, False
        if was_woken or self._hears_more or self._read_only or self._file is None:
            return None
        sleeper = self._file.begin_to_sleep()
        if sleeper is not None and self._file.ring.end() != self._heard:  # before it slept
            sleeper.rise()
            return None
        return sleeper

    def _note_if_missed(self, sleeper: Sleeper) -> None:
        """Note if somebody has published and has not woken this process."""
        with self._changed:
            if self._file is not None and self._file.ring.end() != self._heard:
                sleeper.was_missed()

    def _exchange(self) -> float:
        """Write and read; return after how many seconds to do it again at the earliest."""
        with self._changed:
            file = self._current_file()
            if file is None:
                return _RETRY_SECONDS
            if self._values.are_followed:
                self._hear(file.ring)
            if not self._pending:
                return 0.0
        with file.locked(Patience.of(_LOCK_SECONDS, lambda: not self._is_closing)):
            with self._changed:
                pending = tuple(self._pending)
                self._pending.clear()  # what may have been written must not be written again
            for packet in packets_of(pending, self._name, _PACKET_BYTES):
                file.ring.append(packet)
            file.sleepers.wake()
        return _WRITE_PAUSE_SECONDS

    def _current_file(self) -> "_OpenFile | None":
        """The file, opened again if it was removed or replaced."""
        if self._file is not None and not self._is_in_place(self._file):
            self._close_file()
        if self._file is None:
            self._open()
            self._heard = self._file.ring.end() if self._file else 0
        return self._file

    def _hear(self, ring: Ring) -> None:
        before = self._heard
        self._heard, packets = ring.since(before)
        self._hears_more = self._heard != before
        for packet in packets or ():
            self._values.give(values_in(packet, self._name))

    def _is_in_place(self, file: "_OpenFile") -> bool:
        if time.monotonic() - self._looked_at_path < _PATH_SECONDS:
            return True
        self._looked_at_path = time.monotonic()
        return identity(self._path) == file.identity


class _OpenFile:
    """The file while it is open."""

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self.descriptor = descriptor
        self.identity = identity(descriptor)
        self.ring = Ring(descriptor, threading.Lock(), start=0, capacity=CAPACITY)
        self.sleepers = Sleepers(path, descriptor, _SLEEPERS_START)
        self.sleeper: Sleeper | None = None
        """This process, if it has slept."""

    @classmethod
    def open(cls, path: str, mode: int | None = None) -> "_OpenFile":
        """Open the file; with a mode for writing, and then it is created if missing."""
        if mode is None:
            return cls(path, open_plain(path, os.O_RDONLY, one_name=True))
        return cls(path, open_plain(path, os.O_RDWR | os.O_CREAT, one_name=True, mode=mode))

    def begin_to_sleep(self) -> Sleeper | None:
        """Return a sleeper that sleeps until others write; None if that is impossible now."""
        if self.sleeper is None:
            self.sleeper = self.sleepers.sleeper()
        return self.sleeper if self.sleeper is not None and self.sleeper.sleep() else None

    def close(self) -> None:
        """Close the file."""
        if self.sleeper is not None:
            self.sleeper.close()
        os.close(self.descriptor)

    def give_up(self) -> None:
        """Close the file in a forked child."""
        if self.sleeper is not None:
            self.sleeper.give_up()
        os.close(self.descriptor)

    @contextmanager
    def locked(self, patience: Patience) -> Generator[None, None, None]:
        """Keep others from writing during the block."""
        with hold(self._path, LockFile(self._path, self.descriptor), patience):
            yield
