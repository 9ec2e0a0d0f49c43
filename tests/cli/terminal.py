"""Run the command in a pseudo-terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping

CTRL_C = "\x03"


def run_in_terminal(
    *arguments: object,
    width: int = 100,
    answers: Mapping[str, str] | None = None,
    insists: bool = False,
    limit_s: float = 60,
) -> tuple[str, int]:
    """Return the output of the command, and its exit status.

    Args:
        arguments: of the command.
        width: of the terminal.
        answers: typed when their keys appear in the output.
        insists: type the answers again while nothing happens after a question. Python notices a
            Ctrl-C that arrives between a question and the reading of its answer only with the next
            key. One that arrives while Python exits would kill it.
        limit_s: how long to wait for the command.
    """
    waiting = dict(answers or {})
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "treadle", *map(str, arguments)],
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
        if select.select([parent], [], [], 0.2)[0]:
            try:
                data = os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            output += data
        elif insists and not output.endswith(b"\n"):
            waiting = dict(answers or {})
        for question in [each for each in waiting if each.encode() in output]:
            os.write(parent, waiting.pop(question).encode())
    os.close(parent)
    return output.decode(errors="replace"), process.wait(10)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
