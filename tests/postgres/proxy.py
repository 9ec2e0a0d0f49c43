"""Stands between a client and the server: counts trips, and cuts connections where it is told."""

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

Side = Literal["before the server has it", "before the client hears of it"]


class Proxy:
    """Runs in a `with` block; `url` is the server's, by way of this."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        (self._folder,) = query["host"]
        self._made = tempfile.TemporaryDirectory(prefix="treadle-proxy-")
        through = query | {"host": [self._made.name], "gssencmode": ["disable"]}
        self.url = urlunsplit(parts._replace(query=urlencode(through, doseq=True)))
        self.trips = 0
        self._cut_at = 0
        self._side: Side = "before the server has it"
        self._lock = threading.Lock()

    def __enter__(self) -> "Proxy":
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(Path(self._made.name) / ".s.PGSQL.5432"))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listening.close()
        self._made.cleanup()

    def cut(self, trip: int, side: Side) -> None:
        """Cut the connection on which the trip is made that is counted `trip` from now."""
        with self._lock:
            self._cut_at, self._side = self.trips + trip, side

    @property
    def has_cut(self) -> bool:
        """Whether what was to be cut has been."""
        return self._cut_at == 0

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(Path(self._folder) / ".s.PGSQL.5432"))
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            with suppress(OSError):
                _forward(client, server, 4, b"")
                back.start()
                while True:
                    kind = _exactly(client, 1)
                    if kind not in (b"S", b"Q"):
                        _forward(client, server, 4, kind)
                    elif not self._end_trip(client, server, kind):
                        break
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _end_trip(self, client: socket.socket, server: socket.socket, kind: bytes) -> bool:
        """Count a trip; whether it was made and not cut."""
        with self._lock:
            self.trips += 1
            cuts = self.trips == self._cut_at
            if cuts:
                self._cut_at = 0
        if not cuts:
            _forward(client, server, 4, kind)
            return True
        if self._side == "before the client hears of it":
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)  # it hears nothing any more
            server.sendall(kind + b"\0\0\0\4")
            server.settimeout(5)
            with suppress(OSError):
                while server.recv(65536):  # until the server has done it and waits
                    server.settimeout(0.2)
        return False


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionError("the other side has gone")
        data += more
    return data


def _forward(source: socket.socket, target: socket.socket, size: int, kind: bytes) -> None:
    """One message: its kind, its length, and what is in it."""
    length = _exactly(source, size)
    target.sendall(kind + length + _exactly(source, int.from_bytes(length) - size))


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
