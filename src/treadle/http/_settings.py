"""The limits of what a server accepts."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of what a server accepts from its clients; the defaults suit most."""

    body_bytes: int = 4 * 1024 * 1024
    """Largest body of a request."""
    body_seconds: float = 30.0
    """Longest time in which a body has to arrive."""
    commands: int = 100
    """Most commands of a batch."""
    streams: int = 3_000
    """Most streams of events that are open at once."""
    streams_per_principal: int = 100
    """Most of them for one principal."""
    heartbeat_seconds: float = 15.0
    """How often a stream without events sends a comment, so that nobody takes it for dead."""
    stream_seconds: float = 3_600.0
    """Longest time that a stream lasts: then its client connects, and is authenticated, again."""
    write_seconds: float = 30.0
    """Longest time that the client of a stream may take to read what was sent."""
