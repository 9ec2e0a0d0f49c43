"""The script that follows a thread with `fetch`, in Node, while the server is started again."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import in_store
from tests.docs.documents import document
from tests.http.test_serving import serving
from treadle import Message, Store, Thread

NODE = shutil.which("node")
TOKEN = "0123456789abcdef"
TEXT = "data: ä\n\n\u2028: end"

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no Node to run the script")

FOLLOW = """
const [url, token] = process.argv.slice(2);
const take = (kind, data) => console.log(JSON.stringify([kind, data]));
const stop = new AbortController();
const status = await followThread(
  `${url}/v1/threads/chat/events?after=0&live=true`, token, stop.signal, take);
console.log(JSON.stringify(["end", status]));
"""


def script() -> str:
    """The function of the page, without the call below it."""
    text = document("how-to/stream-to-browsers.md")
    [block] = re.findall(r"^```js\n(async function followThread.*?)^```", text, re.S | re.M)
    return str(block).partition("\nconst leaving")[0]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    in_store(path, lambda store: store.threads.create(Thread(id="chat")))
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.txt"
    path.write_text(f"viewer:page {TOKEN}\n")
    return path


@contextmanager
def following(folder: Path, url: str, token: str) -> Iterator["subprocess.Popen[str]"]:
    file = folder / "follow.mjs"
    file.write_text(script() + FOLLOW)
    child = subprocess.Popen([str(NODE), str(file), url, token], stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def next_of(child: "subprocess.Popen[str]") -> tuple[str, Any]:
    """Return the next event that the script has taken."""
    assert child.stdout is not None
    kind, data = json.loads(child.stdout.readline())
    return kind, data


def say(store: Path, text: str) -> None:
    async def append(opened: Store) -> None:
        await opened.threads.append("chat", Message.user(text))

    in_store(store, append)


def said(event: tuple[str, Any]) -> str:
    kind, data = event
    assert kind == "delta", event
    [message] = data["changes"]["messages"]
    return str(message["content"])


def test_it_goes_on_after_the_last_event_and_ends_with_the_thread(
    tmp_path: Path, store: Path, tokens: Path
) -> None:
    with ExitStack() as stack:
        with serving(store, "--tokens", tokens) as (_, url):
            page = stack.enter_context(following(tmp_path, url, TOKEN))
            assert next_of(page) == ("open", None)
            say(store, TEXT)
            assert said(next_of(page)) == TEXT
        say(store, "while the server is away")
        with serving(store, "--tokens", tokens, "--port", url.rpartition(":")[2]):
            assert next_of(page) == ("open", None)
            assert said(next_of(page)) == "while the server is away"
            in_store(store, lambda opened: opened.threads.delete("chat"))
            assert next_of(page)[0] == "deleted"
            assert next_of(page) == ("end", 404)


def test_it_ends_if_the_token_is_refused(tmp_path: Path, store: Path, tokens: Path) -> None:
    with (
        serving(store, "--tokens", tokens) as (_, url),
        following(tmp_path, url, "fedcba9876543210") as page,
    ):
        assert next_of(page) == ("end", 401)
