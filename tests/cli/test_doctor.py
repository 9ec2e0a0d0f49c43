"""`weft doctor`."""

from pathlib import Path

import pytest

from tests.cli.support import run, run_json


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run("send", "m", "1").exit_code == 0
    assert run("doctor").exit_code == 0
    path = tmp_path / "weft-store" / "_mailbox_threads" / "m.json"
    path.write_bytes(b"{")
    return path


def test_it_names_what_cannot_be_read(damaged: Path) -> None:
    result = run("doctor")
    assert result.exit_code == 1
    assert "m.json: " in result.stdout
    assert "1 file cannot be read" in result.stderr
    assert damaged.exists()


def test_it_moves_aside_only_when_asked(damaged: Path) -> None:
    report = run_json("doctor", "--move-aside")
    assert [finding["path"] for finding in report["findings"]] == ["_mailbox_threads/m.json"]
    assert len(report["moved"]) == 1
    assert not damaged.exists()
    assert run_json("doctor") == {"documents": 1, "findings": [], "moved": []}


def test_it_examines_folders_only() -> None:
    assert run("doctor", "--store", "memory:").exit_code == 2
