"""Processes of the suite: started with what they need preloaded, and used again.

A process takes tens of milliseconds to start, and the suite needs thousands of them. So a process
that has closed its store waits for the next one.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

_CONTEXT: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)

PRELOADED = ["__main__", "treadle.testing._harness.preloaded"]
"""Modules that are imported once, before the first process is forked, if they are there."""


def start_process(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that shares nothing with this one; quickly, where there is `fork`."""
    _CONTEXT.set_forkserver_preload(PRELOADED)
    process: BaseProcess = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def new_event() -> Any:
    """Create an event that a process started here can wait for."""
    return _CONTEXT.Event()


class Server(msgspec.Struct, frozen=True, eq=False):
    """A process that waits for a store to open, opens and closes it, and waits for the next."""

    process: BaseProcess
    pipe: Connection
    environment: tuple[Any, ...]

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


_idle: list[Server] = []


def take_server(serve: Callable[[Connection], None]) -> Server:
    """Return an idle process that runs `serve`."""
    environment = _environment()
    for server in [each for each in _idle if each.environment != environment]:
        # it could not import what this process can
        _idle.remove(server)
        server.kill()
    return _idle.pop() if _idle else _start(serve, environment)


def give_back(server: Server) -> None:
    """Keep a process that has closed its store for the next one."""
    _idle.append(server)


def end_idle_processes() -> None:
    """End the processes that wait for the next store."""
    while _idle:
        _idle.pop().kill()


def _start(serve: Callable[[Connection], None], environment: tuple[Any, ...]) -> Server:
    ours, theirs = _CONTEXT.Pipe()
    process = start_process(serve, theirs)
    theirs.close()
    return Server(process, ours, environment)


def _environment() -> tuple[Any, ...]:
    return (os.getcwd(), *sys.path)
