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
    "sqlite with a host": ("sqlite://agents.db", "write 'sqlite:///agents.db'"),
    "sqlite without slashes": ("sqlite:agents.db", "write 'sqlite:///agents.db'"),
    "sqlite with one slash": ("sqlite:/agents.db", "write 'sqlite:////agents.db'"),
    "sqlite with a folder": ("sqlite:///agents/", "needs a file"),
    "sqlite of the root": ("sqlite:////", "needs a file"),
    "sqlite with a driver": ("sqlite+aiosqlite:///a.db", r"write 'sqlite:', without '\+aiosqlite'"),
    "postgresql with a driver": ("postgresql+psycopg://h/d", "write 'postgresql:', without"),
    "postgresql with one slash": ("postgres:/host/db", "write it as in 'postgresql://user@host"),
    "postgresql without slashes": ("postgresql:db", "write it as in 'postgresql://user@host"),
    "postgresql without a colon": ("postgresql//host/db", "no URL that Treadle knows"),
    "settings of libpq": ("host=db dbname=agents", "write 'postgresql://user@host/database'"),
    "scheme with an underscore": ("my_store://host/db", "no URL that Treadle knows"),
    "redis": ("redis://localhost:6379/0", "no backend for 'redis'"),
    "memory of sqlite": (":memory:", "a store in memory is 'memory:'"),
    "memory as sqlite's file": ("sqlite:///:memory:", "a store in memory is 'memory:'"),
    "memory as sqlite's host": ("sqlite://:memory:", "a store in memory is 'memory:'"),
    "memory of sqlite's library": ("file::memory:?cache=shared", "in memory is 'memory:'"),
    "memory as a parameter": ("file:x?mode=memory&cache=shared", "in memory is 'memory:'"),
    "memory with three slashes": ("sqlite:///memory:", "a store in memory is 'memory:'"),
    "parameter of a file": ("sqlite:///agents.db?mode=ro", "it takes no parameters"),
    "parameter of a folder": ("file:agents?durability=relaxed", "it takes no parameters"),
    "parameter of a path": ("agents.db?mode=ro", "a path takes no parameters"),
    "fragment": ("sqlite:///agents.db#main", "it takes no parameters"),
    "folder that is a file": ("file:./dev.db", "would become a folder of JSON files"),
    "localhost": ("file://localhost/srv/agents", "write 'file:///srv/agents'"),
    "folder as a host": ("file://agents", "write 'file:agents'"),
    "path as a host": ("file://./agents/a", r"write 'file:\./agents/a'"),
    "space before": (" ./agents", "white space"),
    "space after": ("sqlite:///agents.db ", "white space"),
    "line break after": ("./agents\n", "control character"),
    "invisible mark before": ("\ufeff./agents", "white space"),
    "quotes": ("'./agents'", "a quote"),
    "quotes in a url": ('sqlite:///"agents.db"', "a quote"),
    "typographic quotes": ("“./agents”", "a quote"),
    "variable": ("$HOME/agents", "only a shell replaces"),
    "variable in braces": ("sqlite:///${HOME}/agents.db", "only a shell replaces"),
    "output of a command": ("file:$(pwd)/agents", "only a shell replaces"),
    "variable of Windows": ("%TEMP%/agents", "begins an escape or a variable"),
    "escape in a path": ("./my%20agents", "begins an escape or a variable"),
    "no escape": ("sqlite:///100%.db", "it is %25"),
    "two schemes": ("sqlite:///sqlite:///agents.db", "it has two schemes"),
    "two other schemes": ("file:postgresql://host/db", "it has two schemes"),
    "url as a path": (Path("sqlite:///agents.db"), "pass a URL as a string"),
    "habit as a path": (Path(":memory:"), "a store in memory is 'memory:'"),
    "NUL": ("a\0b", "control character"),
    "NUL in an escape": ("file:a%00b", "no NUL"),
    "lone surrogate": ("a\ud800", "cannot be the name of a file"),
    "lone surrogate in a url": ("sqlite:///a\ud800.db", "cannot be the name of a file"),
    "number of 5,000 digits": (10**5_000, "it must be a folder"),
}
ON_POSIX = {
    "drive": ("C:\\agents", "a path of Windows"),
    "drive in a url": ("sqlite:///C:/agents.db", "a path of Windows"),
    "backslash": (r".\agents", "a backslash separates no folders"),
}


@pytest.mark.parametrize(("url", "reason"), BAD.values(), ids=BAD)
def test_a_bad_url_is_refused(url: Any, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason) as caught:
        open_store(url)
    assert caught.value.where == "url"


@pytest.mark.skipif(os.name == "nt", reason="these are paths there")
@pytest.mark.parametrize(("url", "reason"), ON_POSIX.values(), ids=ON_POSIX)
def test_a_path_of_windows_is_refused_elsewhere(url: str, reason: str) -> None:
    with pytest.raises(InvalidValue, match=reason):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql//u:hush@host/db",
        " postgresql://u:hush@host/db",
        "my_store://u:hush@host/db",
        "host=db password=hush",
        "'host=db password='hush'",
        "'postgresql://host/db?password=hush'",
    ],
)
def test_the_refusal_of_a_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize(
    "name",
    [
        *(":memory:", " agents", "agents\n", "'agents'", "$HOME", "a?mode=ro", "100%", "a#b"),
        *("x:y", "sqlite:x", "a\\b", "%41", "café"),
    ],
)
async def test_a_url_with_escapes_names_any_file_and_any_folder(tmp_path: Path, name: str) -> None:
    """The one way for names that are otherwise refused."""
    folder, database = tmp_path / name, tmp_path / f"{name}.db"
    urls = (folder.as_uri(), database.as_uri().replace("file:///", "sqlite:////"))
    for url in urls:
        async with open_store(url) as store:
            await store.threads.create(Thread(id="t"))
    assert folder.is_dir()
    assert database.is_file()


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
    for url in (path, f"file:{path}"):
        with pytest.raises(InvalidValue, match=f"write 'sqlite:///{path}'"):
            open_store(url)
    path.mkdir()
    open_store(path)
    open_store(f"file:{path}")


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


@pytest.mark.parametrize(
    "url", ["~/agents", "file:~/agents", "file:%7E/agents", "sqlite:///~/a.db"]
)
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
