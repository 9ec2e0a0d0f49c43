"""Functions that run the command, in this process or in another one."""

import asyncio
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from click.testing import CliRunner, Result

import treadle
from treadle.cli.app import app

T = TypeVar("T")

_MIXES = "mix_stderr" in inspect.signature(CliRunner).parameters
PROJECT = Path(__file__).parents[2]
SHIPPED = PROJECT / "src" / "treadle" / "cli" / "demo" / "conversations.jsonl"


def run(*arguments: object, input: str | bytes | None = None) -> Result:
    """Run the command in this process."""
    # Before click 8.2, a runner mixes both outputs by default.
    apart: Any = {"mix_stderr": False} if _MIXES else {}
    runner = CliRunner(**apart)
    result = runner.invoke(app, [str(argument) for argument in arguments], input=input)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run_json(*arguments: object, input: str | bytes | None = None) -> Any:
    """Run the command with `--json`, which must succeed, and return its document."""
    result = run(*arguments, "--json", input=input)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def spawn(
    *arguments: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """Start the command in another process."""
    return subprocess.Popen(
        [sys.executable, "-m", "treadle", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_until(
    child: "subprocess.Popen[str]", text: str, where: Literal["stdout", "stderr"] = "stderr"
) -> str:
    """Return the next line that the child writes there and that contains `text`."""
    for line in getattr(child, where):
        if text in line:
            return str(line)
    raise AssertionError(f"the process ended with {child.wait()}, without {text!r}")


def in_store(url: object, work: Callable[[treadle.Store], Awaitable[T]]) -> T:
    """Open a store, and return the result of `work`."""

    async def open_and_work() -> T:
        async with treadle.open_store(str(url)) as store:
            return await work(store)

    return asyncio.run(open_and_work())


def line_of(thread_id: str | None, *contents: str, **fields: Any) -> str:
    """Return a line of JSON Lines: a conversation in which the user says `contents`."""
    messages = [{"role": "user", "content": content} for content in contents]
    known = {} if thread_id is None else {"id": thread_id}
    return json.dumps({**known, **fields, "messages": messages})
