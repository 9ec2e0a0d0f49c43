"""The command in a pseudo-terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time


def run_in_terminal(
    *arguments: object, width: int = 100, interrupt_at: str | None = None, limit_s: float = 60
) -> tuple[str, int]:
    """What the command writes and its exit status; Ctrl-C is typed when `interrupt_at` appears."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "weft", *map(str, arguments)],
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width)},
        preexec_fn=_take_terminal,  # noqa: PLW1509
    )
    os.close(child)
    output = b""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if not select.select([parent], [], [], 1)[0]:
            continue
        try:
            data = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        output += data
        if interrupt_at is not None and interrupt_at.encode() in output:
            os.write(parent, b"\x03")
            interrupt_at = None
    os.close(parent)
    return output.decode(errors="replace"), process.wait(10)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
