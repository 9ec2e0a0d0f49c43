"""`treadle backup`."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.cli.support import SHIPPED, in_store, run, run_json
from treadle import Store, Thread

DATABASE = "sqlite:///agents.db"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    assert run("import", SHIPPED, "--store", DATABASE).exit_code == 0
    return tmp_path / "agents.db"


def test_a_copy_is_a_store(database: Path) -> None:
    result = run("backup", "copy.db", "--store", DATABASE)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert re.fullmatch(r"copy\.db holds \d+ threads, \d+ messages", first)
    assert re.fullmatch(r"[\d,]+ bytes, checked", second)
    assert result.stderr == ""
    exported = [run("export", "--store", url).stdout for url in (DATABASE, "sqlite:///copy.db")]
    assert exported[0] == exported[1] != ""


@pytest.mark.parametrize("target", ["copy.db", "sqlite:///copy.db"])
def test_json_describes_the_backup(database: Path, target: str) -> None:
    report = run_json("backup", target, "--store", DATABASE)
    assert report["target"] == "copy.db"
    assert report["bytes"] == Path("copy.db").stat().st_size == report["pages"] * 8192
    assert report["rows"]["threads"] == len(
        run_json("threads", "list", "--store", DATABASE)["items"]
    )


def test_a_store_in_use_is_copied(database: Path) -> None:
    async def copy(store: Store) -> None:
        before = (await store.threads.list()).total
        await store.threads.create(Thread(id="committed"))
        report = await asyncio.to_thread(run_json, "backup", "copy.db", "--store", DATABASE)
        assert report["rows"]["threads"] == before + 1

    in_store(DATABASE, copy)
    assert run("doctor", "--store", "sqlite:///copy.db").exit_code == 0


def test_an_existing_file_is_not_overwritten(database: Path) -> None:
    Path("copy.db").write_text("mine")
    result = run("backup", "copy.db", "--store", DATABASE)
    assert result.exit_code == 1
    assert "already exists; name another, or remove it first" in result.stderr
    assert Path("copy.db").read_text() == "mine"
    assert run("backup", "agents.db", "--store", DATABASE).exit_code == 1


def test_backup_of_other_stores_is_wrong_usage(database: Path, tmp_path: Path) -> None:
    for url in ("./folder", "memory:"):
        result = run("backup", "copy.db", "--store", url)
        assert result.exit_code == 2
        assert f"copy it with `treadle copy {url} TARGET`" in result.stderr
    result = run("backup", "memory:", "--store", DATABASE)
    assert result.exit_code == 2
    assert "`treadle copy`" in result.stderr


def test_a_missing_database_is_not_backed_up(tmp_path: Path) -> None:
    result = run("backup", "copy.db", "--store", DATABASE)
    assert result.exit_code == 1
    assert f"there is no store at {DATABASE}" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_into_a_missing_folder_is_an_error(database: Path) -> None:
    result = run("backup", "nowhere/copy.db", "--store", DATABASE)
    assert result.exit_code == 1
    assert "nowhere" in result.stderr
    assert "No such file or directory" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_a_backup_shows_its_progress_on_a_terminal(database: Path) -> None:
    from tests.cli.terminal import run_in_terminal

    output, code = run_in_terminal("backup", "copy.db", "--store", DATABASE)
    assert code == 0
    assert re.search(r"copying sqlite:///agents\.db.*(\d+)/\1.*pages", output)
