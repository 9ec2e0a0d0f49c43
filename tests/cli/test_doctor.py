"""`treadle doctor`."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.support import in_store, run, run_json
from treadle import Store, Thread


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run("send", "m", "1").exit_code == 0
    assert run("doctor").exit_code == 0
    path = tmp_path / "agents" / "_mailbox_threads" / "m.json"
    path.write_bytes(b"{")
    return path


def test_a_file_that_cannot_be_read_is_named(damaged: Path) -> None:
    result = run("doctor")
    assert result.exit_code == 1
    assert "m.json: " in result.stdout
    assert "1 file cannot be read" in result.stderr
    assert damaged.exists()


def test_files_are_moved_aside_only_on_request(damaged: Path) -> None:
    report = run_json("doctor", "--move-aside")
    assert [finding["path"] for finding in report["findings"]] == ["_mailbox_threads/m.json"]
    assert len(report["moved"]) == 1
    assert not damaged.exists()
    assert run_json("doctor") == {"records": 1, "findings": [], "moved": []}


def test_the_doctor_examines_only_what_outlives_it() -> None:
    result = run("doctor", "--store", "memory:")
    assert result.exit_code == 2
    assert "forgotten when the command ends" in result.stderr


DATABASE = "sqlite:///agents.db"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run("send", "m", "1", "--store", DATABASE).exit_code == 0
    return tmp_path / "agents.db"


def test_a_healthy_database_is_counted(database: Path) -> None:
    result = run("doctor", "--store", DATABASE)
    assert result.exit_code == 0
    assert result.stdout == "1 mailbox, 1 entry read\n"
    report = run_json("doctor", "--store", DATABASE)
    assert report["records"] == 2
    assert report["rows"]["entries"] == 1
    assert report["findings"] == report["moved"] == []


def test_damage_in_a_database_is_named(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE payloads SET payload = '{'")
        connection.execute("DELETE FROM queue_heads")
    result = run("doctor", "--store", DATABASE)
    assert result.exit_code == 1
    [entry, head, counts] = result.stdout.splitlines()
    assert entry.startswith("mailboxes/m/entries/")
    assert entry.endswith(": Input data was truncated")
    assert head.startswith("mailboxes/m/queue_heads/0: it is missing, and entry ")
    assert counts == "1 mailbox, 1 entry read"
    assert result.stderr.startswith("treadle: 2 findings; restore a backup")
    result = run("doctor", "--store", DATABASE, "--json")
    assert result.exit_code == 1
    paths = [finding["path"] for finding in json.loads(result.stdout)["findings"]]
    assert paths[1] == "mailboxes/m/queue_heads/0"


def test_move_aside_is_wrong_usage_for_a_database(database: Path) -> None:
    result = run("doctor", "--store", DATABASE, "--move-aside")
    assert result.exit_code == 2
    assert "--move-aside is for folders" in result.stderr


def test_a_database_is_examined_while_it_is_in_use(database: Path) -> None:
    async def examine(store: Store) -> None:
        await store.threads.create(Thread(id="t"))
        report = await asyncio.to_thread(run_json, "doctor", "--store", DATABASE)
        assert report["findings"] == []
        assert report["records"] == 3

    in_store(DATABASE, examine)


def test_the_doctor_refuses_what_is_not_a_store(tmp_path: Path) -> None:
    for url, reason in (
        ("sqlite:///nowhere.db", "there is no store at sqlite:///nowhere.db"),
        ("sqlite:///empty.db", "there is no store at sqlite:///empty.db"),
        ("sqlite:///.", "is a folder, not the file of a store"),
        ("sqlite:///other.db", "is a database of another program"),
    ):
        (tmp_path / "empty.db").touch()
        with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text)")
        result = run("doctor", "--store", url)
        assert result.exit_code == 1
        assert reason in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.db", "other.db"]


def test_a_file_that_is_not_a_database_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "agents.db").write_text("Dear diary\n" * 100)
    result = run("doctor", "--store", DATABASE)
    assert result.exit_code == 1
    assert "agents.db: file is not a database" in result.stdout
