"""Run the shell blocks of the documents as a reader who pastes them into a terminal.

A block of the language `console` has commands after `$ `, each with its output below. All commands
of a document share one bash, whose background jobs continue from block to block. The runner waits
for the shown output, which the command or a job may write, in either order. Other lines may come
before and after it, and `...` matches anything. A command that fails must show its output.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE_S = 60.0
"""How long a command may take to end, and its output to appear, in seconds."""

_LINES, _COLUMNS = 40, 100
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


def commands_of(block: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block and the output below it; a backslash continues a command."""
    before, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    if before.strip() or not parts:
        raise ValueError(f"a console block begins with `$ `, not with {block!r}")
    for part in parts:
        command = re.match(r"(?:.*\\\n)*.*", part)
        assert command is not None
        yield command[0], part[command.end() :].strip("\n")


class Shell:
    """A bash in `folder`, on a new terminal; it finds the commands of this environment."""

    def __init__(self, folder: Path) -> None:
        self._terminal, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=child,
            stderr=child,
            cwd=folder,
            env=environment(),
            start_new_session=True,
        )
        os.close(child)
        self._written = b""
        self._commands = 0
        self._taken = 0
        self._has_jobs = False

    def run(self, command: str, shown: str, patience_s: float = PATIENCE_S) -> str | None:
        """Run a command; return what is wrong with it, or None."""
        end = time.monotonic() + patience_s
        self._begin(command)
        while (status := self._status()) is None:
            if not self._read(end - time.monotonic()):
                return f"$ {command}\ndoes not end; it wrote:\n{self._rest()}"
        if not shown:
            return f"$ {command}\nends with {status}:\n{self._rest()}" if status else None
        while (length := self._find(shown)) is None:
            if not self._read(end - time.monotonic()):
                return f"$ {command}\ndoes not write:\n{shown}\nbut:\n{self._rest()}"
        self._taken += length
        return None

    def close(self) -> None:
        """End the shell and its jobs at once."""
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()
        os.close(self._terminal)

    def _find(self, shown: str) -> int | None:
        """Return the end of the shown output in the text; with jobs, its lines may be mixed."""
        rest = self._rest()
        found = re.search(_pattern(shown), rest)
        if found is not None:
            return found.end()
        if not self._has_jobs:
            return None
        lines = [line for line in shown.splitlines() if line.strip() != "..."]
        ends = [one.end() for one in (re.search(_pattern(line), rest) for line in lines) if one]
        return max(ends) if len(ends) == len(lines) else None

    def _begin(self, command: str) -> None:
        assert self._bash.stdin is not None
        self._has_jobs |= command.rstrip().endswith("&")
        self._commands += 1
        report = f"printf '{self._mark()} %d\\n' $?"
        self._bash.stdin.write(f"{{ {command}\n}} < /dev/null\n{report}\n".encode())
        self._bash.stdin.flush()

    def _mark(self) -> str:
        """Return the text that marks the end of the command."""
        return f"<<command {self._commands} of the page>>"

    def _status(self) -> int | None:
        ended = re.search(rf"{self._mark()} (\d+)\n", self._text())
        return None if ended is None else int(ended[1])

    def _rest(self) -> str:
        """Return the output that no block has shown yet."""
        return re.sub(r"<<command \d+ of the page>> \d+\n", "", self._text())[self._taken :]

    def _text(self) -> str:
        return _CONTROL.sub("", self._written.decode(errors="replace"))

    def _read(self, patience_s: float) -> bool:
        """Wait for more output; return False if there is none, or the shell has ended."""
        if not select.select([self._terminal], [], [], max(patience_s, 0))[0]:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # the other end is closed
            return False
        self._written += data
        return bool(data)


def _pattern(shown: str) -> str:
    """Return a regular expression for the shown lines."""
    lines = (re.escape(line.rstrip()).replace(r"\.\.\.", ".*?") for line in shown.splitlines())
    return "(?ms)^" + r"[ \t]*\n".join(lines) + r"[ \t]*(?:\n|\Z)"


def environment() -> dict[str, str]:
    """Return our environment without the variables of this test run, and with its commands."""
    # Unbuffered, a line is two writes, and the lines of two processes mix within a line.
    strange = ("PYTEST_", "TREADLE_", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "TERM": "dumb", "COLUMNS": str(_COLUMNS)}
