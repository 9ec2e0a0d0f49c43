"""The command as a whole: help, errors, stores, pipes, and a missing extra."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.support import run, run_json, spawn
from treadle.cli.app import app
from treadle.cli.opening import database_of, folder_of


def commands(
    command: click.Command = app, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


ALL = list(commands())


WITHOUT_JSON = {
    "completion": "writes a script for a shell",
    "export": "writes JSON Lines anyway",
    "serve": "runs until it is stopped",
}


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_every_command_whose_output_a_program_might_read_has_json(path: tuple[str, ...]) -> None:
    command = dict(ALL)[path]
    if not isinstance(command, click.Group):
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--json" in options) == (path[0] not in WITHOUT_JSON)


def test_all_commands_exist() -> None:
    paths = {" ".join(path) for path, _ in ALL}
    wanted = ["demo", "import", "export", "send", "work", "completion"]
    wanted += ["doctor", "migrate", "backup"]
    wanted += [f"threads {name}" for name in ("list", "show", "follow", "delete")]
    wanted += [f"runs {name}" for name in ("list", "show")]
    names = (
        "list",
        "show",
        "stats",
        "interrupt",
        "pause",
        "resume",
        "requeue",
        "cancel",
        "purge",
        "delete",
    )
    wanted += [f"mailboxes {name}" for name in names]
    assert set(wanted) <= paths


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_every_help_shows_an_example_of_its_own(path: tuple[str, ...]) -> None:
    text = run(*path, "--help").stdout
    match = re.search(r"^Examples?:\n((?:  .+\n?)+)", text, re.MULTILINE)
    assert match is not None, text
    assert f"treadle {' '.join(path)}".strip() in match[1]
    assert run(*path, "-h").stdout == text


@pytest.mark.parametrize(("path", "command"), ALL, ids=lambda value: str(value)[:20])
def test_the_examples_name_options_that_exist(
    path: tuple[str, ...], command: click.Command
) -> None:
    for example in getattr(command, "examples", ()):
        words = shlex.split(example, comments=True)
        known = {name for _, inner in ALL for param in inner.params for name in param.opts}
        known |= {
            name for _, inner in ALL for param in inner.params for name in param.secondary_opts
        }
        treadle_words = words[: words.index("|")] if "|" in words else words
        assert {word for word in treadle_words if word.startswith("--")} <= known


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command = dict(ALL)[path]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{path} {parameter.name}"


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["stats"], " Did you mean `treadle mailboxes stats`?"),
        (["mailbox"], " Did you mean `treadle mailboxes`?"),
        (["treads", "list"], " Did you mean `treadle threads`?"),
        (
            ["mailboxes", "requeu"],
            " Did you mean `treadle mailboxes requeue` or `treadle runs request`?",
        ),
        (["mailboxes", "usage"], " Did you mean `treadle runs usage`?"),
        (
            ["delete"],
            " Did you mean `treadle documents delete` or `treadle mailboxes delete` "
            "or `treadle runs delete` or `treadle threads delete`?",
        ),
        (
            ["mailboxes", "shown"],
            " Did you mean `treadle mailboxes show` or `treadle documents show` "
            "or `treadle runs show` or `treadle threads show`?",
        ),
        (["xyzzy"], ""),
    ],
)
def test_an_unknown_command_is_wrong_usage_and_suggests_others(
    words: list[str], suggestion: str
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "Error: No such command " in said
    assert said.endswith(suggestion or "'xyzzy'.")


def test_the_version_is_shown() -> None:
    assert re.fullmatch(r"treadle, version \d.*\n", run("--version").stdout)


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_summaries_of_commands_are_not_truncated(path: tuple[str, ...]) -> None:
    command = dict(ALL)[path]
    context = click.Context(command, info_name=" ".join(("treadle", *path)), terminal_width=80)
    assert "...\n" not in command.get_help(context).partition("Commands:")[2]


def test_the_help_lists_each_command_with_its_own_summary() -> None:
    text = run("--help").stdout
    for path, command in ALL:
        if len(path) == 1:
            summary = (command.help or "").splitlines()[0]
            assert re.search(rf"^  {path[0]} +{re.escape(summary)}$", text, re.MULTILINE)


def test_the_help_tells_the_exit_statuses() -> None:
    text = " ".join(run("--help").stdout.split())
    assert "Exit status: 0, success; 1, failure" in text
    assert (
        "2, wrong usage: nothing was done; 130, Ctrl-C; 141, the reader of a pipe has gone." in text
    )


def test_wrong_usage_is_status_2() -> None:
    for words in (("nope",), ("threads", "nope"), ("threads", "list", "--nope"), ("runs", "show")):
        result = run(*words)
        assert result.exit_code == 2
        assert "Error: " in result.stderr


READING = [
    ("threads", "list"),
    ("threads", "show", "t"),
    ("threads", "delete", "--yes", "t"),
    ("runs", "list"),
    ("mailboxes", "list"),
    ("mailboxes", "stats"),
    ("mailboxes", "interrupt", "m"),
    ("mailboxes", "pause", "m"),
    ("mailboxes", "resume", "m"),
    ("mailboxes", "requeue", "--all"),
    ("export",),
    ("doctor",),
]


@pytest.mark.parametrize("url", ["nowhere", "sqlite:///nowhere.db", "sqlite:///no/where.db"])
@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_never_creates_a_store(words: tuple[str, ...], url: str, tmp_path: Path) -> None:
    result = run(*words, "--store", url)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"treadle: there is no store at {url}; name a store with --store"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.txt").write_text("hi")
    result = run("threads", "list", "--store", "docs")
    assert result.exit_code == 1
    assert "there is no store at docs" in result.stderr
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["readme.txt"]
    assert run("copy", "docs", "elsewhere").exit_code == 1
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("words", [("threads", "list"), ("send", "m", "1"), ("import",)])
def test_a_file_is_not_the_folder_of_a_store(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("")
    result = run(*words, "--store", "agents", input="")
    assert result.exit_code == 1
    assert "'agents' is a file, not the folder of a store" in result.stderr
    assert result.stderr.count("\n") == 1


FORGOTTEN = [
    ("threads", "list", "--store", "memory:"),
    ("send", "m", "1", "--store", "memory:"),
    ("import", "--store", "memory:"),
    ("copy", "memory:", "folder"),
]


@pytest.mark.parametrize("words", FORGOTTEN, ids=" ".join)
def test_a_store_in_memory_is_wrong_usage(words: tuple[str, ...]) -> None:
    result = run(*words, input="")
    assert result.exit_code == 2
    assert (
        "memory: is forgotten when the command ends; name a folder, or a database such as"
        in result.stderr
    )


def test_a_store_in_memory_is_not_a_target_of_a_copy(store: Path) -> None:
    assert run("copy", store, "memory:").exit_code == 2


@pytest.mark.parametrize("url", ["./agents", "sqlite:///agents.db"])
def test_the_creation_of_a_store_is_reported_once(url: str) -> None:
    assert run("send", "m", "1", "--store", url).stderr == f"treadle: {url} is a new store\n"
    assert run("send", "m", "1", "--store", url).stderr == ""


def test_a_folder_that_may_not_be_read_is_an_error_of_one_line(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("treadle.backends.files.disk.os.listdir", refuse)
    result = run("threads", "list", "--store", store)
    assert result.exit_code == 1
    assert "Permission denied" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_unrelated_file_is_not_a_store(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("Dear diary\n" * 100)
    for name, reason in (
        (
            "folder.db",
            "is a folder, not the file of a store; if it is a store of plain files, name it",
        ),
        ("empty.db", "there is no store at sqlite:///empty.db; name a store"),
        ("text.db", "file is not a database"),
        ("text.db/store.db", "there is no store at"),
        ("", "'sqlite:' needs a file"),
    ):
        result = run("threads", "list", "--store", f"sqlite:///{name}")
        assert result.exit_code == 1
        assert reason in result.stderr
    assert (tmp_path / "empty.db").read_bytes() == b""


def test_an_unknown_kind_of_store_is_an_error() -> None:
    result = run("threads", "list", "--store", "carrier-pigeon://x")
    assert result.exit_code == 1
    assert "there is no backend for 'carrier-pigeon'" in result.stderr


def test_the_store_option_counts_more_than_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("send", "m", "1")
    assert (tmp_path / "agents").is_dir()
    monkeypatch.setenv("TREADLE_STORE", "from-environment")
    run("send", "m", "1")
    run("--store", "before", "send", "m", "1")
    run("--store", "before", "send", "m", "1", "--store", "after")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"agents", "from-environment", "before", "after"}
    assert run_json("--store", "before", "mailboxes", "stats")["queued"] == 1


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("./agents", Path("agents")),
        ("/a/b", Path("/a/b")),
        ("file:x", Path("x")),
        ("file:///x", Path("/x")),
        ("memory:", None),
        ("sqlite:///x.db", None),
        ("postgresql://host/db", None),
    ],
)
def test_urls_of_folders_are_recognized(url: str, folder: Path | None) -> None:
    assert folder_of(url) == folder


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("sqlite:///x.db", Path("x.db")),
        ("sqlite:////a/x.db", Path("/a/x.db")),
        ("SQLite:///x%3Fy.db", Path("x?y.db")),
        ("file:x", None),
        ("./x", None),
        ("memory:", None),
        ("postgresql://host/db", None),
    ],
)
def test_urls_of_database_files_are_recognized(url: str, database: Path | None) -> None:
    assert database_of(url) == database


def test_each_shell_has_a_completion_script() -> None:
    for shell in ("bash", "zsh", "fish"):
        result = run("completion", shell)
        assert result.exit_code == 0
        assert "_TREADLE_COMPLETE" in result.stdout
    assert run("completion", "csh").exit_code == 2


def test_the_shell_completes_commands() -> None:
    environment = {
        "_TREADLE_COMPLETE": "bash_complete",
        "COMP_WORDS": "treadle thr",
        "COMP_CWORD": "1",
    }
    child = spawn(environment=environment)
    assert child.communicate()[0] == "plain,threads\n"


def test_a_pipe_gets_no_colours(store: Path) -> None:
    environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for words in (
        ("threads", "list"),
        ("threads", "show", "lost-cello-bow"),
        ("mailboxes", "stats"),
    ):
        child = spawn(*words, "--store", store, environment=environment)
        output, errors = child.communicate()
        assert child.returncode == 0
        assert "\x1b" not in output + errors


def test_a_broken_pipe_is_quiet(store: Path) -> None:
    for words in (("threads", "list"), ("export",), ("threads", "show", "lost-cello-bow")):
        child = spawn(*words, "--store", store)
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        errors = child.stderr.read()
        child.stderr.close()
        child.wait()
        assert errors == ""


def test_characters_that_the_encoding_lacks_are_escaped(store: Path) -> None:
    child = spawn(
        *("threads", "show", "bike-squeaky-brakes", "--store", store),
        environment={"PYTHONIOENCODING": "latin-1"},
    )
    output, errors = child.communicate()
    assert (child.returncode, errors) == (0, "")
    assert "\\U0001f642" in output


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_named_with_the_way_to_install_it(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from treadle.cli import main; main()"
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert child.returncode == 1
    assert child.stdout == ""
    assert child.stderr == (
        f"treadle: the command needs {missing}; in Treadle's folder, run: pip install '.[cli]'\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
@pytest.mark.parametrize(("width", "sign"), [(110, "…"), (70, "(no room for: ")])
def test_a_terminal_gets_colours_and_lines_that_fit(store: Path, width: int, sign: str) -> None:
    from tests.cli.terminal import run_in_terminal

    output, code = run_in_terminal("threads", "list", "--store", store, "--limit", 3, width=width)
    assert code == 0
    assert "\x1b[1mthread" in output
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in output.splitlines()]
    assert [line for line in lines if len(line) > width and "--after" not in line] == []
    assert any(sign in line for line in lines)


def test_a_page_says_if_there_are_more(agents: Path) -> None:
    result = run("mailboxes", "entries", "--limit", 2, "--store", agents)
    found = re.fullmatch(r"more follow: --after (\S+) shows the next\n", result.stderr)
    assert found is not None, result.stderr
    result = run("mailboxes", "entries", "--limit", 2, "--after", found[1], "--store", agents)
    assert result.stderr == ""


def test_a_missing_record_is_an_error_of_one_line(agents: Path) -> None:
    for words in (("threads", "show"), ("runs", "show"), ("mailboxes", "show")):
        result = run(*words, "nope", "--store", agents)
        assert result.exit_code == 1
        assert result.stderr.startswith("treadle: ")
        assert "does not exist" in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""
