"""What a URL means, and what is none."""

import os
from pathlib import Path
from typing import Any

import pytest

from treadle import InvalidValue, Store, StoreUnavailable, Thread, open_store

BAD: dict[str, tuple[Any, str]] = {
    "empty": ("", "must be a folder"),
    "none": (None, "must be a folder"),
    "number": (5, "must be a folder"),
    "bytes": (b"agents", "must be a folder"),
    "list": (["agents"], "must be a folder"),
    "unknown scheme": ("mongodb://host/db", "no backend for 'mongodb'"),
    "http": ("http://example.com", "no backend for 'http'"),
    "misspelt": ("memry:", "no backend for 'memry'"),
    "memory with a name": ("memory:agents", "takes nothing after it"),
    "memory with a path": ("memory:///agents", "takes nothing after it"),
    "file without folder": ("file:", "needs a folder"),
    "file of nothing": ("file://", "needs a folder"),
    "sqlite without file": ("sqlite:", "needs a file"),
    "sqlite with a host": ("sqlite://agents.db", "needs a file"),
    "sqlite with a folder": ("sqlite:///agents/", "needs a file"),
}


@pytest.mark.parametrize(("url", "reason"), BAD.values(), ids=BAD)
def test_a_bad_url_is_refused(url: Any, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason) as caught:
        open_store(url)
    assert caught.value.where == "url"


@pytest.mark.parametrize("durability", ["", "none", "FULL", None, 5, True])
def test_a_bad_durability_is_refused(durability: Any) -> None:
    with pytest.raises(InvalidValue, match="must be 'full' or 'relaxed'") as caught:
        open_store("memory:", durability=durability)
    assert caught.value.where == "durability"


@pytest.mark.parametrize(
    ("url", "durable", "shared"),
    [
        ("memory:", False, False),
        ("memory://", False, False),
        ("MEMORY:", False, False),
        ("./agents", True, True),
        (Path("agents"), True, True),
        ("file:agents", True, True),
        ("sqlite:///agents.db", True, True),
        ("postgresql://host/db", True, True),
    ],
)
def test_a_store_says_what_it_is_before_it_is_opened(
    url: str | Path, durable: bool, shared: bool
) -> None:
    capabilities = open_store(url).capabilities
    assert (capabilities.durable, capabilities.shared) == (durable, shared)


@pytest.mark.parametrize("form", ["path", "text", "file:", "file://"])
async def test_a_folder_is_named_in_each_of_these_forms(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "a store"
    text = {"text": str(folder), "file:": f"file:{folder}", "file://": f"file://{folder}"}
    async with open_store(folder) as store:
        await store.threads.create(Thread(id="t"))
    async with open_store(text.get(form, folder)) as store:
        assert await store.threads.load("t") is not None
    assert os.listdir(tmp_path) == ["a store"]


async def test_each_memory_store_is_its_own() -> None:
    async with open_store("memory:") as one, open_store("memory:") as other:
        await one.threads.create(Thread(id="t"))
        assert await other.threads.load("t") is None


@pytest.mark.parametrize("url", ["{}/store", "sqlite:///{}/store.db"])
def test_a_store_that_is_not_opened_makes_nothing(tmp_path: Path, url: str) -> None:
    assert isinstance(open_store(url.format(tmp_path)), Store)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["agents.db", "agents.sqlite", "Agents.SQLite3"])
def test_a_path_that_looks_like_a_database_is_no_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InvalidValue, match=f"write 'sqlite:///{path}'"):
        open_store(path)
    open_store(f"file:{path}")
    path.mkdir()
    open_store(path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(InvalidValue, match=r"is a file, not the folder of a store"):
        open_store(str(path))


async def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("mine")
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(InvalidValue, match=r"holds other files \('main.py'\) and no store"):
        await open_store(tmp_path).open()
    assert sorted(os.listdir(tmp_path)) == ["main.py", "package.json"]


async def test_hidden_files_and_documents_are_no_other_things(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))
    (tmp_path / "README.txt").write_text("put here later")
    async with open_store(tmp_path) as store:
        assert (await store.threads.list()).items == ("t",)


@pytest.mark.parametrize("url", ["~/agents", "file:~/agents", "sqlite:~/a.db", "sqlite:///~/a.db"])
def test_a_path_that_only_a_shell_understands_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="would be in a folder named '~'"):
        open_store(url)


async def test_the_root_of_a_new_disk_is_empty_enough(tmp_path: Path) -> None:
    os.mkdir(f"{tmp_path}/lost+found")
    async with open_store(tmp_path) as store:
        await store.threads.create(Thread(id="t"))


@pytest.mark.parametrize("url", ["{0}/agents", "sqlite:///{0}/agents.db", "sqlite:///{0}/a/b.db"])
async def test_a_store_that_is_not_to_be_made_must_be_there(tmp_path: Path, url: str) -> None:
    url = url.format(tmp_path)
    with pytest.raises(StoreUnavailable, match="no store exists there, and create=False"):
        await open_store(url, create=False).open()
    assert os.listdir(tmp_path) == []
    async with open_store(url) as store:
        await store.threads.create(Thread(id="t"))
    async with open_store(url, create=False) as store:
        assert (await store.threads.list()).items == ("t",)


async def test_a_folder_of_the_reference_s_documents_is_there(tmp_path: Path) -> None:
    document = '{"_version": 1, "id": "t", "messages": [], "metadata": {}, "state": null}'
    (tmp_path / "t.json").write_text(document)
    async with open_store(tmp_path, create=False) as store:
        assert (await store.threads.list()).items == ("t",)
