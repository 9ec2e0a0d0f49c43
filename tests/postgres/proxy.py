"""A proxy between a client and the server: counts round trips, cuts connections and stalls them."""

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

Side = Literal["before the server has it", "before the client hears of it"]
Hold = Literal["requests", "answers"]
Loss = Literal["the request", "half of the request", "the answer"]
"""What does not arrive when a connection falls silent."""

_PARTS_OF_A_TRIP = (b"P", b"B", b"D", b"E", b"C")
"""Parse, bind, describe, execute and close; sync ends the round trip."""


class Proxy:
    """Runs in a `with` block; `url` leads to the server through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        (self._folder,) = query["host"]
        self._own_folder = tempfile.TemporaryDirectory(prefix="treadle-proxy-")
        through = query | {"host": [self._own_folder.name], "gssencmode": ["disable"]}
        self.url = urlunsplit(parts._replace(query=urlencode(through, doseq=True)))
        self.round_trips = 0
        self._cut_at = 0
        self._side: Side = "before the server has it"
        self._stall_at = 0
        self._hold: Hold = "requests"
        self._silent_at = 0
        self._loss: Loss = "the request"
        self._flowing = threading.Event()  # cleared while all connections stall
        self._flowing.set()
        self._resumed = threading.Event()  # set when stalled connections may end
        self._silent = threading.Event()  # set when a connection has fallen silent
        self._connected = threading.Event()  # set when a client comes that is not served
        self._lock = threading.Lock()

    def __enter__(self) -> "Proxy":
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(Path(self._own_folder.name) / ".s.PGSQL.5432"))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.resume()
        # Ends `accept` in its thread. A close alone does not; and if a signal interrupts it later,
        # it is called again with the same number, which may by then be that of another proxy.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._own_folder.cleanup()

    def cut(self, trip: int, side: Side) -> None:
        """Cut the connection that makes the round trip counted `trip` from now."""
        with self._lock:
            self._cut_at, self._side = self.round_trips + trip, side

    @property
    def has_cut(self) -> bool:
        """Whether the cut has happened."""
        return self._cut_at == 0

    def stall(self, trip: int, hold: Hold) -> None:
        """Hold back bytes, and close nothing, from the round trip on that is `trip` from now.

        The other connections stall as well, and new ones are accepted but not served.
        """
        with self._lock:
            self._stall_at, self._hold = self.round_trips + trip, hold

    def stall_connecting(self) -> None:
        """Stall all connections, and serve no new one."""
        self._flowing.clear()

    def silence(self, trip: int, loss: Loss) -> None:
        """Forward nothing, and close nothing, on the one connection that makes a round trip.

        It is the one counted `trip` from now. When the proxy resumes, the server gets what was
        held back.
        """
        with self._lock:
            self._silent_at, self._loss = self.round_trips + trip, loss

    def until_silent(self) -> None:
        """Return once a connection has fallen silent."""
        assert self._silent.wait(30)

    def until_connected(self) -> None:
        """Return once a client connects that is not served."""
        assert self._connected.wait(120)

    def resume(self) -> None:
        """Close what has stalled, and serve new connections."""
        with self._lock:
            self._stall_at = self._silent_at = 0
            self._flowing.set()
            self._resumed.set()
            self._resumed = threading.Event()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if not self._flowing.is_set():
            self._connected.set()
        self._flowing.wait()
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(Path(self._folder) / ".s.PGSQL.5432"))
            held = threading.Event()
            back = threading.Thread(target=_copy, args=(server, client, held), daemon=True)
            with suppress(OSError):
                server.sendall(_message(client, b""))
                back.start()
                trip = b""
                while True:
                    kind = _exactly(client, 1)
                    message = _message(client, kind)
                    if kind in _PARTS_OF_A_TRIP:
                        # The server would execute them at once, even a COMMIT.
                        trip += message
                    elif kind not in (b"S", b"Q"):
                        server.sendall(trip + message)
                        trip = b""
                    elif self._end_trip(client, server, trip + message, held):
                        trip = b""
                    else:
                        break
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _end_trip(
        self, client: socket.socket, server: socket.socket, trip: bytes, held: threading.Event
    ) -> bool:
        """Count a round trip; return False if it is the last of its connection."""
        with self._lock:
            self.round_trips += 1
            cuts = self.round_trips == self._cut_at
            if cuts:
                self._cut_at = 0
            begins_to_stall = self.round_trips == self._stall_at
            if begins_to_stall:
                self._flowing.clear()
            stalls = begins_to_stall or not self._flowing.is_set()
            falls_silent = self.round_trips == self._silent_at
            resumed = self._resumed
        if falls_silent:
            received = {"the request": 0, "half of the request": len(trip) // 2}
            size = received.get(self._loss, len(trip))
            held.set()
            self._silent.set()
            server.sendall(trip[:size])
            resumed.wait()
            server.sendall(trip[size:])
            return False
        if cuts:
            self._cut(client, server, trip)
            return False
        if stalls and not (begins_to_stall and self._hold == "answers"):
            resumed.wait()
            return False
        if stalls:
            held.set()
        server.sendall(trip)
        if stalls:
            resumed.wait()
        return not stalls

    def _cut(self, client: socket.socket, server: socket.socket, trip: bytes) -> None:
        if self._side == "before the client hears of it":
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)  # from now on it hears nothing
            server.sendall(trip)
            server.settimeout(5)
            with suppress(OSError):
                while server.recv(65536):  # until the server has done it and waits
                    server.settimeout(0.2)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionError("the other side has gone")
        data += more
    return data


def _message(source: socket.socket, kind: bytes) -> bytes:
    """The rest of a message, with its kind: its length, and its content."""
    length = _exactly(source, 4)
    return kind + length + _exactly(source, int.from_bytes(length) - 4)


def _copy(source: socket.socket, target: socket.socket, held: threading.Event) -> None:
    """Forward what the server sends, until the connection stalls or ends."""
    with suppress(OSError):
        while data := source.recv(65536):
            if held.is_set():
                return
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
