"""Fixtures for the tests of the command."""

import shutil
from pathlib import Path

import pytest

import treadle
from tests.cli.support import SHIPPED, in_store, run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, without a store in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TREADLE_STORE", raising=False)


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the conversations in the package; not to be changed."""
    folder = tmp_path_factory.mktemp("imported") / "store"
    assert run("import", SHIPPED, "--store", folder).exit_code == 0
    return folder


@pytest.fixture
def store(imported: Path, tmp_path: Path) -> Path:
    """A store with the conversations in the package."""
    return Path(shutil.copytree(imported, tmp_path / "store"))


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A store with one thread, two runs, and entries in several states."""

    async def fill(store: treadle.Store) -> None:
        call = treadle.ToolCall(id="c", name="look", arguments={"a": 1})
        thread = treadle.Thread(
            id="t1",
            resource_id="u1",
            messages=(
                treadle.Message.user("hello [bold]there[/bold] \x1b[31m"),
                treadle.Message.assistant("", [call]),
                treadle.Message.internal_system("be quiet"),
            ),
            state={"n": 1},
        )
        await store.threads.create(thread)
        await store.runs.upsert(treadle.RunRecord(run_id="r1", thread_id="t1", created_at=1))
        done = treadle.RunRecord(run_id="r2", thread_id="t2", status="done", created_at=2)
        await store.runs.upsert(done)
        await store.mailboxes.send("m1", {"n": 1}, dedupe_key="k")
        await store.mailboxes.send("m1", {"n": 2})
        await store.mailboxes.send("m2", {"n": 3})
        [entry] = await store.mailboxes.claim(consumer="w", mailbox_id="m2")
        await store.mailboxes.dead_letter(entry, error="boom")

    folder = tmp_path / "agents"
    in_store(folder, fill)
    return folder
