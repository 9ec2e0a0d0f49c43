"""Everything that Treadle creates is private, whatever the umask, unless its owner shares it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest
from click.testing import CliRunner

import treadle
from treadle.cli.app import app

UMASKS = pytest.mark.parametrize("umask", [0, 0o022, 0o077])
SUFFIXES = ("", "-wal", "-shm", "-lock", "-queue")


@pytest.fixture(autouse=True)
def the_umask_afterwards() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that everybody may look into, as most are."""
    open_to_all = tmp_path / "work"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    return open_to_all


def run(*arguments: str, status: int = 0, given: str | None = None) -> None:
    result = CliRunner().invoke(app, arguments, input=given, catch_exceptions=False)
    assert result.exit_code == status, result.output


def modes_in(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")
    }


def assert_private(folder: Path) -> None:
    modes = modes_in(folder)
    assert modes
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


async def use(url: str, folder: Path) -> dict[str, int]:
    """Write to a store in each way, and return the modes in its folder while it is open."""
    async with treadle.open_store(url) as store:
        await store.threads.ensure(treadle.Thread(id="a"))
        await store.threads.append("a", treadle.Message.user("hello"))
        await store.mailboxes.send("box", {"n": 1})
        (entry,) = await store.mailboxes.claim(consumer="w")
        await store.mailboxes.ack(entry)
        await store.threads.append("a", treadle.Message.user("again"))
        return modes_in(folder)


@UMASKS
@pytest.mark.parametrize("name", ["new/store", "sqlite:///{}/new/deep/store.db"])
def test_an_open_store_is_private(name: str, umask: int, folder: Path) -> None:
    os.umask(umask)
    url = name.format(folder) if "{}" in name else str(folder / name)
    modes = asyncio.run(use(url, folder))
    assert len(modes) >= 5
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert_private(folder)


@UMASKS
def test_what_the_commands_create_is_private(umask: int, folder: Path) -> None:
    os.umask(umask)
    files, database = str(folder / "store"), f"sqlite:///{folder}/store.db"
    line = '{"messages": [{"role": "user", "content": "hello"}]}\n'
    for url in (files, database):
        run("--store", url, "import", "-", given=line)
        run("--store", url, "send", "box", "{}")
        run("--store", url, "threads", "list")
        run("--store", url, "mailboxes", "stats")
        run("--store", url, "doctor")
    run("--store", files, "export", "--output", str(folder / "export.jsonl"))
    run("--store", database, "backup", str(folder / "backup.db"))
    run("copy", files, str(folder / "copied"))
    run("copy", files, f"sqlite:///{folder}/copied.db")
    (folder / "store" / "damaged.json").touch(mode=0o600)
    run("--store", files, "doctor", "--move-aside")
    assert list((folder / "store" / "_treadle" / "aside").iterdir())
    assert_private(folder)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_folder_that_its_owner_shared_with_a_group_stays_shared(
    umask: int, tmp_path: Path
) -> None:
    os.umask(umask)
    store = tmp_path / "store"
    asyncio.run(use(str(store), store))
    for path in (store, *store.rglob("*")):
        path.chmod(0o2770 if path.is_dir() else 0o660)
    (store / "_runs").rmdir()
    modes = asyncio.run(use(str(store), store))
    assert {mode & 0o777 for mode in modes.values()} == {0o770, 0o660}


def test_a_folder_that_a_group_may_only_read_has_files_that_it_may_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    asyncio.run(use(str(store), store))
    for path in (store, *store.rglob("*")):
        path.chmod(0o750 if path.is_dir() else 0o640)
    assert {mode & 0o777 for mode in asyncio.run(use(str(store), store)).values()} == {0o750, 0o640}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_files_beside_a_database_have_its_mode(umask: int, tmp_path: Path) -> None:
    os.umask(umask)
    database = tmp_path / "store.db"
    database.touch()
    database.chmod(0o660)
    modes = asyncio.run(use(f"sqlite:///{database}", tmp_path))
    assert modes == {f"store.db{suffix}": 0o660 for suffix in SUFFIXES}
