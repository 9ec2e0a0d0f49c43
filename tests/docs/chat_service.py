"""The chat service of the guide: its files, the processes that it starts, and a client."""

import asyncio
import http.client
import json
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import treadle
from tests.docs.console import commands_of, environment
from tests.docs.documents import document

PAGE = "how-to/build-a-chat-service.md"
PATIENCE_S = 60.0
"""How long anything may take, in seconds: starting the processes, and the answers of a chat."""

T = TypeVar("T")


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document(PAGE), re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Return the commands of the page, each with the output below it."""
    return [each for block in blocks("console") for each in commands_of(block)]


def save_files(folder: Path) -> None:
    """Save the files of the page in a folder."""
    for block in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", block)
        assert name is not None, f"this block is not a file:\n{block}"
        (folder / name[1]).write_text(block, encoding="utf-8")


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], T | None], what: str) -> T:
    """Return what `look` finds, and look again as long as that is nothing."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"after {PATIENCE_S:.0f} s there is still no {what}")


class Event(NamedTuple):
    """A server-sent event."""

    id: int
    kind: str
    data: Any


class Follower(threading.Thread):
    """A browser that follows a chat, beginning at a version."""

    def __init__(self, port: int, chat: str, after: int) -> None:
        super().__init__(daemon=True)
        self.events: list[Event] = []
        self.pieces: list[Any] = []
        self.ended: list[str] = []
        """The runs whose turns are over."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        headers = {"X-Forwarded-User": "anna", "Last-Event-ID": str(after)}
        self._connection.request("GET", f"/chats/{chat}/events", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        self._socket = self._connection.sock
        self.start()

    def run(self) -> None:
        """Read events until the connection is closed."""
        fields: dict[str, str] = {}
        for line in iter(self._read_line, ""):
            if line == "\n":
                self._take(fields["event"], json.loads(fields["data"]), fields.get("id"))
                fields = {}
            else:
                name, _, value = line.partition(": ")
                fields[name] = value.rstrip("\n")

    def wait_for(self, version: int) -> list[Event]:
        """Return the events up to a version."""

        def look() -> list[Event]:
            return [each for each in self.events if self.events[-1].id >= version]

        return eventually(look, f"event {version}")

    def close(self) -> None:
        """Close the connection, as a browser that is closed."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._connection.close()

    def _take(self, kind: str, data: Any, version: str | None) -> None:
        if kind == "piece":
            assert version is None, "a browser would ask for what comes after it"
            self.pieces.append(data["value"])
            return
        if kind == "ended":
            assert version is None, "a browser would ask for what comes after it"
            self.ended.append(data["run_id"])
            return
        assert version is not None
        self.events.append(Event(int(version), kind, data))

    def _read_line(self) -> str:
        try:
            return self._response.readline().decode()
        except (OSError, http.client.HTTPException):
            return ""


class Service:
    """Two web processes and two workers, started by the commands of the page.

    The model thinks faster than on the page.
    """

    def __init__(self, folder: Path, store_url: str) -> None:
        self._url, self._folder = store_url, folder
        save_files(folder)
        agent = folder / "agent.py"
        code = agent.read_text(encoding="utf-8")
        assert "asyncio.sleep(1)" in code
        agent.write_text(code.replace("asyncio.sleep(1)", "asyncio.sleep(0.3)"), encoding="utf-8")
        self._followers: list[Follower] = []
        self.ports: list[int] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the processes, and wait until the web processes answer."""
        asyncio.run(self._migrate())
        for command, _ in commands():
            if command.startswith(("uvicorn", "treadle work")):
                self._start(command)
        assert (len(self.ports), len(self.processes)) == (2, 4)
        for web in range(len(self.ports)):
            eventually(partial(self._is_up, web), "web process")

    def close(self) -> None:
        """End the followers and the processes; pytest shows their output if a test failed."""
        for follower in self._followers:
            follower.close()
        for process in self.processes:
            process.kill()
            process.wait()
        for number in range(len(self.processes)):
            print(self._output(number))

    def request(
        self,
        web: int,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = "anna",
        key: str | None = None,
        status: int = 200,
    ) -> Any:
        """Send a request to a web process, and return its answer, which must have a status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[web], timeout=PATIENCE_S)
        headers = {"X-Forwarded-User": user} | ({"Idempotency-Key": key} if key else {})
        try:
            connection.request(method, path, json.dumps(body), headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        assert response.status == status, data
        return json.loads(data) if data and status < 300 else None

    def create(self) -> str:
        """Create a chat, and return its id."""
        return str(self.request(0, "POST", "/chats", status=201)["chat"])

    def say(self, web: int, chat: str, text: str, key: str | None = None) -> str:
        """Ask a question, and return its turn."""
        path = f"/chats/{chat}/turns"
        return str(self.request(web, "POST", path, {"text": text}, key=key, status=202)["turn"])

    def ask_again(self, web: int, chat: str, turn: str, text: str) -> str:
        """Ask another question, or the same again, and return its turn."""
        path = f"/chats/{chat}/turns/{turn}"
        return str(self.request(web, "PUT", path, {"text": text}, status=202)["turn"])

    def questions(self, web: int, chat: str, *, wait: bool = True) -> list[str]:
        """Return the runs of a chat that wait for an answer; wait for one if there is none."""

        def look() -> list[str]:
            items = self.request(web, "GET", f"/chats/{chat}/questions")["items"]
            return [str(each["run_id"]) for each in items]

        return eventually(look, "question") if wait else look()

    def show(self, web: int, chat: str) -> tuple[list[Any], int]:
        """Return the messages of a chat, and its version."""
        shown = self.request(web, "GET", f"/chats/{chat}")
        return shown["thread"]["messages"], shown["version"]

    def answered(self, chat: str, turns: Iterable[str]) -> list[list[str]]:
        """Wait for the answers to these turns, and return the chat, turn by turn."""
        wanted = set(turns)

        def look() -> list[Any] | None:
            messages, _ = self.show(0, chat)
            said = {turn_of(each) for each in messages if is_answer(each)}
            return messages if wanted <= said else None

        return turns_of(eventually(look, f"answer to each of {sorted(wanted)}"))

    def follow(self, web: int, chat: str, after: int = 0) -> Follower:
        """Follow a chat at a web process."""
        follower = Follower(self.ports[web], chat, after)
        self._followers.append(follower)
        return follower

    def read_by_model(self) -> Counter[str]:
        """Return how often the model has read which text, of all workers."""
        outputs = (self._output(process) for process in range(len(self.processes)))
        return Counter(text for each in outputs for text in re.findall(r"has read '(.*)'", each))

    def entries(self) -> list[treadle.MailboxEntry]:
        """Return the entries of the store, oldest first."""

        async def read() -> list[treadle.MailboxEntry]:
            async with treadle.open_store(self._url) as store:
                return list((await store.mailboxes.list_entries(limit=200)).items)

        return asyncio.run(read())

    def kill_a_holder(self) -> bool:
        """Kill -9 a worker and start another one; return True if it was in the middle of a turn."""
        held = next((each for each in self.entries() if each.status == "claimed"), None)
        if held is None or held.claimed_by is None:
            return False
        workers = {process.pid: process for process in self.processes}
        worker = workers[int(held.claimed_by.split("-")[-2])]
        worker.kill()
        assert worker.wait() == -signal.SIGKILL
        self._start("treadle work agent:answer --lease-ms 5000 &")
        now = {each.entry_id: each.status for each in self.entries()}
        return now[held.entry_id] != "accepted"

    def _log(self, process: int) -> Path:
        return self._folder / f"{process}.log"

    def _output(self, process: int) -> str:
        return self._log(process).read_text(encoding="utf-8")

    def _is_up(self, web: int) -> bool:
        assert self.processes[web].poll() is None, self._output(web)
        try:
            self.request(web, "GET", "/chats")
        except ConnectionError:
            return False
        return True

    async def _migrate(self) -> None:
        async with treadle.open_store(self._url, migrate=True):
            pass

    def _start(self, command: str) -> None:
        command = command.rstrip(" &")
        if "--port" in command:
            self.ports.append(free_port())
            command = re.sub(r"--port \d+", f"--port {self.ports[-1]}", command)
        with self._log(len(self.processes)).open("wb") as log:
            process = subprocess.Popen(
                shlex.split(command),
                cwd=self._folder,
                env=environment() | {"TREADLE_STORE": self._url, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)


def turn_of(message: Any) -> str:
    """Return the turn that a message of a chat belongs to."""
    return str(message["metadata"]["run_id"]).partition(".")[0]


def is_answer(message: Any) -> bool:
    """Return True if a message ends a turn."""
    return message["role"] == "assistant" and not message.get("tool_calls")


def turns_of(messages: Iterable[Any]) -> list[list[str]]:
    """Return what was said, turn by turn: "user: hi" for example."""
    turns: dict[str, list[str]] = {}
    for each in messages:
        turns.setdefault(turn_of(each), []).append(f"{each['role']}: {each['content']}")
    return list(turns.values())


def replayed(events: Iterable[Event]) -> list[Any]:
    """Return the messages that a browser has after these events, as the script of the page does."""
    messages: list[Any] = []
    for event in events:
        assert event.kind == "delta"
        changes = event.data["changes"]
        messages = messages[: changes.get("truncated_to", len(messages))]
        known = {each["id"] for each in messages}
        messages += [each for each in changes["messages"] if each["id"] not in known]
    return messages
