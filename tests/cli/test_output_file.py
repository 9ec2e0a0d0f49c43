"""Files that commands write: a plain file appears when it is complete, anything else stays."""

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.support import run, spawn
from treadle.cli.terminal.failure import INTERRUPTED

POSIX = pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices")


def export(store: Path, output: object) -> int:
    return run("export", "lost-cello-bow", "--store", store, "--output", output).exit_code


def test_a_dash_is_standard_output(store: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    result = run("export", "lost-cello-bow", "--store", store, "--output", "-")
    assert result.stdout == run("export", "lost-cello-bow", "--store", store).stdout
    assert sorted(tmp_path.iterdir()) == before
    result = run("backup", "-", "--store", "sqlite:///agents.db")
    assert result.exit_code == 2
    assert "cannot be written to standard output" in result.stderr


@POSIX
def test_a_link_stays_and_what_it_leads_to_is_replaced(store: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for target in ("folder/there.jsonl", "folder/missing.jsonl"):
        link = tmp_path / f"link-{Path(target).name}"
        link.symlink_to(target)
    (tmp_path / "folder" / "there.jsonl").write_text("before")
    for name in ("there.jsonl", "missing.jsonl"):
        assert export(store, f"link-{name}") == 0
        assert (tmp_path / f"link-{name}").is_symlink()
        assert (tmp_path / "folder" / name).read_text().startswith('{"id":"lost-cello-bow"')
    assert len(list((tmp_path / "folder").iterdir())) == 2


@POSIX
def test_a_link_to_itself_is_an_error_of_one_line(store: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    result = run("export", "--store", store, "--output", "loop")
    assert result.exit_code == 1
    assert result.stderr.startswith("treadle: loop cannot be written: ")
    assert (tmp_path / "loop").is_symlink()


@POSIX
def test_a_named_pipe_is_written_to(store: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    assert export(store, pipe) == 0
    reader.join(20)
    assert [line[:21] for line in received] == ['{"id":"lost-cello-bow']
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
def test_the_first_ctrl_c_ends_an_export_whose_reader_has_stopped(
    store: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    child = spawn("export", "--store", store, "--output", tmp_path / "pipe")
    with (tmp_path / "pipe").open("rb", buffering=0) as reader:
        assert reader.read(1) == b"{"  # more than a pipe holds is left
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors.strip()) == (INTERRUPTED, "")


@POSIX
@pytest.mark.parametrize("name", ["null", "full"])
def test_a_device_is_written_to(store: Path, tmp_path: Path, name: str) -> None:
    """A link stands for the device: root would lose the real one if this failed."""
    (tmp_path / name).symlink_to(f"/dev/{name}")
    result = run("export", "--store", store, "--output", name)
    if name == "null":
        assert result.exit_code == 0
    else:
        assert result.exit_code == 1
        assert result.stderr == "treadle: full cannot be written: No space left on device\n"
    assert (tmp_path / name).is_symlink()
    assert stat.S_ISCHR(os.stat(f"/dev/{name}").st_mode)


@POSIX
def test_a_descriptor_of_the_shell_is_appended_to(store: Path, tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text("before\n")
    words = ["export", "lost-cello-bow", "--output", "/dev/stdout", "--store", str(store)]
    with (tmp_path / "all.jsonl").open("ab") as appended:
        subprocess.run([sys.executable, "-m", "treadle", *words], stdout=appended, check=True)
    first, second = (tmp_path / "all.jsonl").read_text().splitlines()
    assert first == "before"
    assert second.startswith('{"id":"lost-cello-bow"')


@POSIX
def test_a_file_with_the_longest_name_is_written(store: Path, tmp_path: Path) -> None:
    name = "n" * 255
    assert export(store, name) == 0
    assert (tmp_path / name).stat().st_size > 0


@POSIX
def test_an_export_can_be_read_by_its_owner_unless_the_file_says_otherwise(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.jsonl").touch()
    (tmp_path / "there.jsonl").chmod(0o644)
    for name, mode in (("new.jsonl", 0o600), ("there.jsonl", 0o644)):
        assert export(store, name) == 0
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


@POSIX
@pytest.mark.parametrize(
    "words",
    [
        ("export", "--store", "store", "--output", "target"),
        ("backup", "target", "--store", "sqlite:///store.db"),
    ],
    ids=["export", "backup"],
)
def test_a_full_disk_leaves_no_part_of_a_file(
    store: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A limit of the size of a file stands for the full disk."""
    assert run("copy", "store", "sqlite:///store.db").exit_code == 0
    before = sorted(path.name for path in tmp_path.iterdir())
    child = subprocess.run(
        [sys.executable, "-m", "treadle", *words],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert child.returncode == 1
    assert child.stderr.startswith("treadle: ")
    assert child.stderr.count("\n") == 1
    assert "target" in child.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@POSIX
def test_the_input_of_the_demo_may_be_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    child = spawn("demo", "--input", pipe)
    pipe.write_text("nonsense\n")
    _, errors = child.communicate(timeout=60)
    assert errors.splitlines() == [
        "line 1: it is not JSON: Expecting value (column 1)",
        "treadle: the input has no conversation; use a file that `treadle import` reads",
    ]
