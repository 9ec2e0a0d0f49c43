"""`treadle work` as it is operated: JSON logs, a health check, handlers refused at start."""

import asyncio
import json
import logging
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.support import run, run_json, spawn
from treadle.cli.commands.work.health import serving_health
from treadle.cli.logging import JsonFormatter
from treadle.cli.terminal.failure import Failure

AGENT = """
import asyncio
import warnings

def nothing(): ...
def two(delivery, more): ...
async def generator(delivery):
    yield 1
class Agent: ...
async def failing(delivery):
    warnings.warn("beware")
    raise ValueError("no luck \\x1b[31m")
async def slow(delivery):
    await asyncio.sleep(60)
"""


@pytest.fixture(autouse=True)
def _agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agents_of_night.py").write_text(AGENT)
    monkeypatch.setattr(sys, "path", [*sys.path])  # `treadle work` adds the current folder
    monkeypatch.delitem(sys.modules, "agents_of_night", raising=False)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing", "it must take one argument, the delivery: too many positional arguments"),
        ("two", "it must take one argument, the delivery: missing a required argument: 'more'"),
        ("generator", "it has a `yield`"),
        ("Agent", "it must be a function"),
    ],
)
def test_a_handler_of_another_signature_is_refused_before_it_gets_work(
    name: str, reason: str, processes: int
) -> None:
    run("send", "m", "1")
    result = run("work", f"agents_of_night:{name}", "--processes", processes)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"treadle: 'agents_of_night:{name}' is not a handler: {reason}")
    assert result.stderr.count("\n") == 1
    assert run_json("mailboxes", "stats")["queued"] == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_logs_are_json_lines_on_demand(processes: int) -> None:
    run("send", "m", "1")
    words = ("--max-attempts", 1, "--until-idle", "--log", "json", "--processes", processes)
    child = spawn("work", "agents_of_night:failing", *words)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    lines = [json.loads(line) for line in errors.splitlines()]
    assert lines[0]["message"].startswith("working ")
    [dead] = [line for line in lines if line["level"] == "error"]
    assert dead["mailbox_id"] == "m"
    assert dead["entry_id"] in dead["message"]
    assert dead["logger"] == "treadle.worker"
    assert dead["time"].endswith("+00:00")
    assert 'raise ValueError("no luck' in dead["traceback"]
    assert "\x1b" not in errors


def test_a_record_of_any_text_is_one_line_of_json() -> None:
    values = ("a\nb \ud800 \u202e", logging.INFO, "file", 1, "%s", ("\x1b[2J\n",), None)
    record = logging.LogRecord(*values)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "\u202e" not in text
    assert json.loads(text)["message"] == "\x1b[2J\n"


def test_a_record_whose_values_do_not_fit_is_a_line_of_json_all_the_same() -> None:
    record = logging.LogRecord("a", logging.INFO, "file", 1, "%d of %s", ("x",), None)
    record.entry_id = Path("e")
    line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "%d of %s ('x',)"
    assert line["entry_id"] == "e"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def status_of(port: int, path: str = "/healthz") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def until(port: int, status: int) -> str:
    deadline = time.monotonic() + 60
    while (answer := status_of(port))[0] != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer[1]


def test_the_health_check_fails_while_the_store_cannot_be_reached(tmp_path: Path) -> None:
    database = tmp_path / "agents.db"
    url = f"sqlite:///{database}"
    run("send", "m", "1", "--store", url)
    port = free_port()
    words = ("--store", url, "--healthz", port, "--lease-ms", 900, "--grace", "0s")
    child = spawn("work", "agents_of_night:slow", *words)
    assert until(port, 200) == "ok\n"
    files = list(tmp_path.glob("agents.db*"))
    moved = [path.rename(f"{path}.away") for path in files]
    assert until(port, 503).startswith("the store fails at: ")
    for path in moved:
        path.rename(path.with_name(path.name.removesuffix(".away")))
    assert until(port, 200) == "ok\n"
    assert status_of(port, "/")[0] == 404
    child.terminate()
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors


def test_the_health_check_is_about_one_process() -> None:
    result = run("work", "agents_of_night:slow", "--processes", 2, "--healthz", 8080)
    assert result.exit_code == 2
    assert "--healthz is about one process" in result.stderr


async def test_a_port_in_use_is_a_failure_of_one_line() -> None:
    port = free_port()
    async with serving_health(port, dict):
        with pytest.raises(Failure, match=f"cannot serve /healthz at port {port}"):
            async with serving_health(port, dict):
                pass


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"HEAD /healthz?verbose HTTP/1.1\r\n\r\n", b"200 OK"),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"\r\n\r\n", b"404 Not Found"),
        (b"x" * 100_000, b""),
    ],
)
async def test_whatever_is_asked_gets_an_answer_or_none(request_text: bytes, status: bytes) -> None:
    port = free_port()
    async with serving_health(port, dict):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_text)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 " + status if status else b"")
    assert bool(answer) == bool(status)
    assert (b"HEAD" in request_text) == answer.endswith(b"\r\n\r\n") or not answer
