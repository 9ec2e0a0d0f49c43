"""`treadle copy`."""

from pathlib import Path

import pytest

from tests.cli.support import in_store, run, run_json
from treadle import Thread


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run("send", "box", "1", "--store", "./one").exit_code == 0
    in_store("./one", lambda store: store.threads.create(Thread(id="t")))
    return tmp_path


def test_a_store_is_copied_from_a_folder_to_a_database_and_back(folder: Path) -> None:
    report = run_json("copy", "./one", "sqlite:///two.db")
    assert report == {
        "threads": 1,
        "runs": 0,
        "mailboxes": 1,
        "entries": 1,
        "documents": 0,
        "written": 3,
        "differing": [],
    }
    assert run_json("copy", "sqlite:///two.db", "./three")["written"] == 3
    assert (folder / "three" / "t.json").read_bytes() == (folder / "one" / "t.json").read_bytes()


def test_a_copy_is_summarized(folder: Path) -> None:
    result = run("copy", "./one", "./two")
    assert result.stdout.splitlines() == [
        "./one holds 1 thread, 1 mailbox, 1 entry; 3 copied",
        "./two holds the same",
    ]


def test_a_missing_source_is_not_created(folder: Path) -> None:
    result = run("copy", "./nowhere", "./two")
    assert result.exit_code == 1
    assert "there is no store at ./nowhere" in result.stderr
    assert not (folder / "nowhere").exists()
    assert not (folder / "two").exists()
