"""Conversations by the clients of others, which are installed from npm as they are.

The server, the worker and the client are processes of their own. Where there is no Node, or npm
finds no registry, the tests are skipped; with TREADLE_NODE=required, as in `.ci/run`, they fail.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import portalocker
import pytest

import treadle
from tests.http.agent import RECOUNTED
from treadle import RunRecord, StoredMessage

HERE = Path(__file__).parent
PACKAGES = HERE.parents[2] / "build" / "node-clients"
TOKEN = "alice-0123456789abcdef"
SECONDS = 120

pytestmark = pytest.mark.timeout(2 * SECONDS)


def missing(reason: str) -> None:
    """Skip the test, or fail, if it has to run."""
    if os.environ.get("TREADLE_NODE") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder in which the packages are installed, with the programs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        missing("there is no Node with npm")
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with portalocker.Lock(PACKAGES / "lock", timeout=SECONDS):
        given = [path for path in HERE.iterdir() if path.suffix in (".json", ".mjs")]
        lock = PACKAGES / "package-lock.json"
        is_installed = (
            (PACKAGES / "node_modules" / ".package-lock.json").exists()
            and lock.exists()
            and lock.read_bytes() == (HERE / lock.name).read_bytes()
        )
        for path in given:
            shutil.copy(path, PACKAGES)
        if not is_installed:
            command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=PACKAGES, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            if done.returncode:
                lock.unlink()
                missing(f"npm cannot install the clients: {done.stderr[-500:]}")
    return PACKAGES


@contextmanager
def process(*command: str, until: str) -> Iterator[str]:
    """Run a command of Python during the block; return the line in which it says `until`."""
    with subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            lines: list[str] = []
            for line in running.stdout:
                lines.append(line)
                if until in line:
                    yield line
                    break
            else:
                pytest.fail("".join(lines))
        finally:
            running.terminate()
            running.stdout.close()
            assert running.wait(10) is not None


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def server(store_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a server, with a worker beside it."""
    tokens = tmp_path / "tokens.txt"
    tokens.write_text(f"user:alice {TOKEN}\n")
    serving = (
        "-m",
        "treadle",
        "serve",
        "--store",
        store_url,
        "--port",
        "0",
        "--tokens",
        str(tokens),
    )
    working = ("-m", "treadle", "work", "tests.http.agent:handle", "--store", store_url)
    with process(*serving, until=" at http://") as line, process(*working, until="working"):
        yield line.strip().rpartition(" at ")[2]


def run_client(packages: Path, program: str, url: str, thread_id: str) -> dict[str, Any]:
    """Return what a client has seen."""
    done = subprocess.run(
        ["node", program, url, TOKEN, thread_id],
        cwd=packages,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


async def read(store_url: str, thread_id: str) -> tuple[list[StoredMessage], list[RunRecord]]:
    """Wait until nothing is left to do, and return the messages and the runs of a thread."""
    async with treadle.open_store(store_url) as store, asyncio.timeout(SECONDS):
        while True:
            page = await store.mailboxes.list_entries(mailbox_id=thread_id)
            if all(entry.status not in ("queued", "claimed") for entry in page.items):
                break
            await asyncio.sleep(0.05)
        messages = await store.threads.list_messages(thread_id, limit=200)
        runs = await store.runs.list(thread_id=thread_id, limit=200)
        return list(messages.messages), list(runs.items)


async def test_a_conversation_by_the_client_of_ag_ui(
    packages: Path, server: str, store_url: str
) -> None:
    url = f"{server}/v1/ag-ui/agents/helper/runs"
    seen = await asyncio.to_thread(run_client, packages, "ag_ui.mjs", url, "chat")
    assert seen["tokens"]["deltas"] == 3, "the tokens did not come one by one"
    assert "TOOL_CALL_RESULT" in seen["weather"]["types"]
    assert seen["count"]["state"] == {"count": 1, "client": {"theme": "dark"}}
    assert seen["recounted"]["events"] == ["STATE_SNAPSHOT", "STATE_DELTA"]
    assert seen["recounted"]["state"] == RECOUNTED
    assert [each["id"] for each in seen["interrupts"]] == ["may-1"]
    assert seen["left"] == []
    said = [(each["role"], each.get("content") or each["calls"]) for each in seen["said"]]
    assert said == [
        ("user", "tokens"),
        ("reasoning", "They greet."),
        ("assistant", "Hello there"),
        ("user", "weather"),
        ("assistant", "Let me see. "),
        ("tool", '{"sky":"blue"}'),
        ("assistant", "The sky is blue."),
        ("user", "count"),
        ("assistant", "counted"),
        ("user", "color"),
        ("assistant", [["pick", {"of": ["red", "blue"]}]]),
        ("tool", "red"),
        ("assistant", "You picked red."),
        ("user", "refund"),
        ("assistant", [["refund", {"amount": 40}]]),
        ("tool", '"done"'),
        ("assistant", "Refunded."),
    ]
    assert {each.get("content") for each in seen["other"]} >= {"Hello there", "Refunded."}
    messages, runs = await read(store_url, "chat")
    kept = [each.message.content for each in messages]
    assert kept[-2:] == ["slow", "Hello there"], "the run ended with the client that asked for it"
    assert all(run.status == "done" for run in runs)
    assert {run.origin for run in runs} == {"ag_ui"}


async def test_a_conversation_by_the_chat_of_the_ai_sdk(
    packages: Path, server: str, store_url: str
) -> None:
    url = f"{server}/v1/ai-sdk/agents/helper/runs"
    seen = await asyncio.to_thread(run_client, packages, "ai_sdk.mjs", url, "chat")
    assert [part["type"] for part in seen["tokens"]] == ["step-start", "reasoning", "text"]
    assert seen["tokens"][2] == {"type": "text", "text": "Hello there", "state": "done"}
    tool = next(part for part in seen["weather"] if part["type"] == "tool-weather")
    assert (tool["state"], tool["input"]) == ("output-available", {"city": "Rome"})
    assert tool["output"] == {"sky": "blue"}
    assert ["data-state", {"count": 1, "client": None}] in [
        [kind, {"count": data["count"], "client": data["client"]}]
        for kind, data in seen["data"]
        if kind == "data-state"
    ]
    assert seen["picked"][-1]["text"] == "You picked red."
    question = seen["refund"][-1]
    assert question["state"] == "approval-requested"
    assert question["approval"]["requestReason"] == "May I refund 40 EUR?"
    assert seen["complete"] is True
    assert [part["type"] for part in seen["refunded"]][:2] == ["step-start", "tool-refund"]
    assert seen["refunded"][1]["state"] == "output-available"
    assert seen["refunded"][-1]["text"] == "Refunded."
    assert seen["roles"] == ["user", "assistant"] * 5
    assert seen["again"][-1]["state"] == "approval-requested", "it was not done again"
    assert seen["resumed"][-1]["text"] == "Hello there"
    assert seen["status"] == ["ready", "ready"]
    assert seen["error"] == "Error: the run has failed"
    messages, _ = await read(store_url, "chat")
    said = [each.message.content for each in messages if each.message.role == "user"]
    assert said == ["tokens", "weather", "count", "color", "refund", "reload", "fail"]
