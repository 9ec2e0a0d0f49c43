"""`treadle threads follow`: lines as they come, until the thread is deleted or Ctrl-C."""

import json
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.support import in_store, run, spawn
from treadle import Message, Store, Thread, ToolCall
from treadle.core.codec import Json


@pytest.fixture(params=["files", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / "agents"
    url = str(path) if request.param == "files" else f"sqlite:///{path}.db"
    in_store(url, lambda store: store.threads.create(Thread(id="t")))
    say(url, "one")
    return url


def say(url: str, text: str) -> None:
    in_store(url, lambda store: store.threads.append("t", Message.user(text)))


def rest(child: "subprocess.Popen[str]") -> list[str]:
    """Return what a process still writes, once it has ended."""
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
    return output.splitlines()


def test_what_is_said_is_shown_until_the_thread_is_deleted(url: str) -> None:
    child = spawn("threads", "follow", "t", "--store", url, "--after", 0)
    assert child.stdout is not None
    assert child.stdout.readline().endswith("  user: one\n")
    say(url, "two\nlines")
    line = child.stdout.readline()
    assert (line[0], line[-11:]) == ("2", " two lines\n")
    in_store(url, lambda store: store.threads.truncate("t", keep=1))
    assert child.stdout.readline().endswith("  truncated to 1 message\n")
    calls = (ToolCall(id="c", name="look", arguments={"at": 1}),)
    answer = Message(role="assistant", content="", tool_calls=calls)
    in_store(url, lambda store: store.threads.append("t", answer))
    assert child.stdout.readline().endswith('  assistant: → look({"at":1})\n')
    in_store(url, lambda store: store.threads.save(Thread(id="t")))
    assert child.stdout.readline() == "5  the thread was replaced, and has 0 messages\n"
    in_store(url, lambda store: store.threads.delete("t"))
    lines = rest(child)
    assert lines[-1] == "the thread was deleted"


def test_json_has_a_line_for_each_item(url: str) -> None:
    child = spawn("threads", "follow", "t", "--store", url, "--after", 0, "--json")
    assert child.stdout is not None
    first = json.loads(child.stdout.readline())
    assert first["delta"]["version"] == 1
    assert first["delta"]["changes"]["messages"][0]["content"] == "one"
    in_store(url, lambda store: store.threads.delete("t"))
    assert list(map(json.loads, rest(child))) == [{"deleted": "t"}]


def test_without_a_version_only_what_is_new_is_shown(url: str) -> None:
    child = spawn("threads", "follow", "t", "--store", url, "--json")
    assert child.stdout is not None
    said = 1
    while not select.select([child.stdout], [], [], 0.3)[0]:
        said += 1
        say(url, "more")
    assert 1 < json.loads(child.stdout.readline())["delta"]["version"] <= said
    in_store(url, lambda store: store.threads.delete("t"))
    assert json.loads(rest(child)[-1]) == {"deleted": "t"}


def publish(url: str, *values: Json) -> None:
    async def publish(store: Store) -> None:
        for value in values:
            await store.live.publish("t", value)

    in_store(url, publish)


def piece(number: int, delta: str, **fields: str) -> Json:
    return {"message_id": "m", "number": number, "delta": delta, **fields}


class Screen:
    """What `threads follow --live` has written; lines may have no end yet."""

    def __init__(self, url: str, *options: str) -> None:
        command = ("threads", "follow", "t", "--store", url, "--after", 0, "--live", *options)
        self.child = spawn(*command)
        assert self.child.stdout is not None
        self._stdout = self.child.stdout
        self._text = ""
        while "heard?" not in self._text:
            publish(url, "heard?")
            while select.select([self._stdout], [], [], 0.3)[0]:
                self._read()

    def until(self, text: str) -> None:
        while text not in self._text:
            self._read()

    def lines(self) -> list[str]:
        """Return the lines, except those of the beginning, once the process has ended."""
        self._text += "\n".join(rest(self.child))
        return [line for line in self._text.splitlines() if "heard?" not in line][1:]

    def _read(self) -> None:
        data = os.read(self._stdout.fileno(), 100_000)
        assert data, self._text
        self._text += data.decode()


def test_live_values_are_lines_that_grow_until_the_message_is_committed(url: str) -> None:
    screen = Screen(url)
    publish(url, piece(0, "You "), piece(1, "said:\n"), piece(3, "no\x1b"))
    screen.until("no\\x1b")
    publish(url, piece(0, "again", part="reasoning"), piece(0, "You "), piece(1, "said: hi"))
    call = piece(0, '{"at":', part="tool_call", tool_call_id="c", tool_name="look")
    publish(url, call)
    screen.until("look")
    answer = Message.assistant("committed", id="m")
    in_store(url, lambda store: store.threads.append("t", answer))
    screen.until("committed")
    publish(url, piece(2, "too late"), {"typing": True})
    screen.until("typing")
    in_store(url, lambda store: store.threads.delete("t"))
    lines = screen.lines()
    assert lines.pop(4).endswith("  assistant: committed")
    assert lines == [
        "…  assistant: You said: […]no\\x1b",
        "…  assistant thinks: again",
        "…  assistant: You said: hi",
        '…  assistant: → look {"at":',
        '…  {"typing":true}',
        "the thread was deleted",
    ]


def test_json_has_a_line_for_each_live_value(url: str) -> None:
    screen = Screen(url, "--json")
    publish(url, piece(0, "You "))
    screen.until("You ")
    in_store(url, lambda store: store.threads.delete("t"))
    assert [json.loads(line) for line in screen.lines()] == [
        {"live": piece(0, "You ")},
        {"deleted": "t"},
    ]


def test_ctrl_c_ends_it(url: str) -> None:
    child = spawn("threads", "follow", "t", "--store", url, "--after", 0)
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130


def test_a_thread_that_does_not_exist_is_a_failure(url: str) -> None:
    for words in ((), ("--after", 0)):
        result = run("threads", "follow", "nobody's", "--store", url, *words)
        assert result.exit_code == 1
        assert "does not exist" in result.stderr
