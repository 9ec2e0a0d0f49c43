"""Fixtures of the command's tests."""

from pathlib import Path

import pytest

from tests.cli.support import AIRLINE, SHIPPED, run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with no store named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEFT_STORE", raising=False)


@pytest.fixture
def airline() -> Path:
    """The real conversations; they are on some machines only."""
    if not AIRLINE.exists():
        pytest.skip(f"{AIRLINE} is not there")
    return AIRLINE


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the conversations that come with Weft."""
    folder = tmp_path / "store"
    assert run("import", SHIPPED, "--store", folder).exit_code == 0
    return folder
