"""Processes that sleep until a file is written, and are woken by the process that writes it.

Polling would cost an idle process more than everything else that it does. So it puts the name of a
socket into a table in the file and sleeps; a process that writes the file afterwards sends a
datagram to each name. The names are in Linux's abstract namespace, so a process that dies leaves
nothing behind. On other systems nobody sleeps.

Nothing depends on it: a datagram may be lost, the table overwritten, and a process may run where no
datagram of the others arrives, such as a container with a network of its own. So a sleeping process
also looks now and then.
"""

import math
import os
import select
import socket
import sys
import time
from contextlib import suppress
from functools import cache
from hashlib import blake2s
from pathlib import Path

from treadle.backends._forks import give_up_in_children
from treadle.backends._plain_files import open_plain

_NETWORK_BYTES = 3
"""The first bytes of a name tell the network in which it has a meaning."""
_NAME_BYTES = 8
_PLACES = 64
"""Most names in a table. A process that finds no free place cannot sleep."""
_FREE = bytes(_NAME_BYTES)
_ALL_FREE = bytes(_PLACES * _NAME_BYTES)
_CLOSED = -1
ASLEEP_SECONDS = (0.5, 1.0)
"""The shortest and the longest time between two looks of a sleeping process. Random, so that many
do not look at the same moment."""
_MOST_MISSED = 2
_DEAF_SECONDS = 60.0
"""How long a process stays awake if `_MOST_MISSED` writes in this time have not woken it."""
_LATE_SECONDS = 0.1
"""How late a datagram may be that was sent for a write."""
_MOST_DATAGRAMS = 64
"""Most datagrams that are taken in at once: somebody may send them without end."""


class Sleepers:
    """The processes that sleep until a file is written, as one of those who write it sees them.

    Args:
        path: the file.
        descriptor: the same file, as it is open for writing.
        start: where in the file the table is.
    """

    def __init__(self, path: str, descriptor: int, start: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._start = start
        self._own: set[bytes] = set()

    def wake(self, *, here_too: bool = False) -> None:
        """Wake those who sleep, after the file was written.

        Only the holder of the lock of those who write may call it.

        Args:
            here_too: wake those of this object, too, which otherwise hear of it at once.
        """
        if sys.platform != "linux":
            return
        # Every commit reads this after it has written; a sleeper writes its name before it looks.
        table = os.pread(self._descriptor, len(_ALL_FREE), self._start)
        if table == _ALL_FREE or not table:
            return
        network = _network()
        for place, name in enumerate(_names_in(table)):
            if name == _FREE or not name.startswith(network):
                continue
            if here_too or name not in self._own:
                self._send(name, place)

    def sleeper(self) -> "Sleeper | None":
        """Return a new sleeper; None if nobody can sleep here."""
        if sys.platform != "linux":
            return None
        with suppress(OSError):  # such as too many open files
            return Sleeper(self._path, self._start, self._own)
        return None

    def _send(self, name: bytes, place: int) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # if its queue is full, it will wake
            try:
                sender.sendto(b"\0", _address(name))
            except ConnectionRefusedError:  # it has died
                os.pwrite(self._descriptor, _FREE, self._start + place * _NAME_BYTES)


class Sleeper:
    """A process that sleeps until the file is written, or one of its event loops.

    Args:
        path: the file.
        start: where in the file the table is.
        own: the names that are in use by the same object.

    Raises:
        OSError: the file or the socket cannot be opened.
    """

    def __init__(self, path: str, start: int, own: set[bytes]) -> None:
        self._name = _network() + os.urandom(_NAME_BYTES - _NETWORK_BYTES)
        self._start = start
        self._own = own
        self._place = self._name[-1] % _PLACES
        self.is_asleep = False
        self._missed: list[float] = []
        """When the file was written and nobody woke this one."""
        self._deaf_until = -math.inf
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(_address(self._name))
            # Not the descriptor of those who write: they may close it on another thread.
            self._descriptor = open_plain(path, os.O_RDWR, one_name=True)
        except BaseException:
            self._socket.close()
            raise
        own.add(self._name)
        give_up_in_children(self)

    def fileno(self) -> int:
        """The socket, which can be read once this one is woken."""
        return self._socket.fileno()

    def sleep(self) -> bool:
        """Begin to sleep, or go on; return False if that is impossible now.

        A write before this may have woken nobody, so look at the file after it.
        """
        if time.monotonic() < self._deaf_until:
            return False
        try:
            self._place = self._free_place()
            self._write(self._name)
        except (OSError, ValueError):
            return False
        self.is_asleep = True
        return True

    def rise(self) -> None:
        """Sleep no longer."""
        if not self.is_asleep:
            return
        self.is_asleep = False
        with suppress(OSError):
            if self._names()[self._place] == self._name:
                self._write(_FREE)

    def wait(self, seconds: float) -> bool:
        """Wait until this one is woken, and sleep no longer; return False if nobody woke it."""
        poll = select.poll()  # not `select.select`: it refuses descriptors above 1,023
        poll.register(self._socket, select.POLLIN)
        is_woken = bool(poll.poll(seconds * 1_000))
        if is_woken:
            self.was_woken()
        self.rise()
        return is_woken

    def wake(self) -> None:
        """Wake this one, on any thread, if it sleeps."""
        if self.is_asleep:
            with suppress(OSError):
                self._socket.sendto(b"\0", _address(self._name))

    def was_woken(self) -> None:
        """Take in the datagrams."""
        if self._missed and time.monotonic() - self._missed[-1] < _LATE_SECONDS:
            self._missed.pop()  # its datagram was under way
        with suppress(OSError):  # one says that no datagram is left
            for _ in range(_MOST_DATAGRAMS):
                self._socket.recv(1)

    def was_missed(self) -> None:
        """Note that the file was written, and that nobody woke this one."""
        now = time.monotonic()
        self._missed = [each for each in self._missed if now - each < _DEAF_SECONDS] + [now]
        if len(self._missed) >= _MOST_MISSED:
            self._deaf_until = now + _DEAF_SECONDS
            self._missed.clear()

    def close(self) -> None:
        """Close the file and the socket; done twice, it does nothing."""
        if self._name in self._own:
            self.rise()
            self.give_up()

    def give_up(self) -> None:
        """Close the file and the socket, and write nothing: in a forked child it is the parent's.

        Done twice, it does nothing.
        """
        self._own.discard(self._name)
        self._socket.close()
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)

    def _free_place(self) -> int:
        """The place to sleep in: the last one, unless another process has taken it.

        Raises:
            ValueError: none is free.
        """
        names = self._names()
        if names[self._place] in (_FREE, self._name):
            return self._place
        if _FREE not in names:
            # Nobody frees the places of a network that is gone. A process that does sleep there
            # takes another place when it next looks.
            network = _network()
            names = [name if name.startswith(network) else _FREE for name in names]
        return names.index(_FREE)

    def _names(self) -> list[bytes]:
        table = os.pread(self._descriptor, len(_ALL_FREE), self._start)
        return _names_in(table.ljust(len(_ALL_FREE), b"\0"))

    def _write(self, name: bytes) -> None:
        os.pwrite(self._descriptor, name, self._start + self._place * _NAME_BYTES)


@cache
def _network() -> bytes:
    """The beginning of all names in the network of this process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        network = boot + os.readlink("/proc/self/ns/net")
    except OSError:  # the system does not tell
        network = ""
    return blake2s(network.encode()).digest()[:_NETWORK_BYTES]


def _names_in(table: bytes) -> list[bytes]:
    return [table[at : at + _NAME_BYTES] for at in range(0, len(table), _NAME_BYTES)]


def _address(name: bytes) -> bytes:
    return b"\0treadle-" + name.hex().encode()
