"""The command on PostgreSQL: `weft migrate`, and a store whose schema is not there yet."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.support import run, run_json
from weft.testing.own import location_of, remove_postgres, schema_of


@pytest.fixture
def store(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """A store in a schema that has yet to be made; its URL has a password."""
    with_password = postgres_url.replace("postgres:@", "postgres:sekret@")
    yield f"{with_password}&schema={schema_of(tmp_path)}"
    remove_postgres(postgres_url, tmp_path)


def test_a_store_without_a_schema_tells_how_to_make_one(store: str) -> None:
    result = run("threads", "list", "--store", store)
    assert result.exit_code == 1
    assert "weft migrate" in result.stderr
    assert "sekret" not in result.output


def test_it_is_pending_then_applied_then_up_to_date(store: str) -> None:
    assert "pending" in run("migrate", "--status", "--store", store).stdout
    first = run("migrate", "--store", store)
    assert first.stdout.startswith("applied 0001_tables\n")
    assert "sekret" not in first.output
    assert run_json("migrate", "--store", store)["applied"] == []
    [state] = run_json("migrate", "--status", "--store", store)["migrations"]
    assert state["applied_at"] > 1_000_000_000_000
    assert run("mailboxes", "stats", "--store", store).exit_code == 0


def test_the_printed_sql_does_the_same(store: str, postgres_url: str, tmp_path: Path) -> None:
    text = run_json("migrate", "--sql", "--store", store)["sql"]
    assert "pending" in run("migrate", "--status", "--store", store).stdout
    with psycopg.connect(location_of(postgres_url, tmp_path).conninfo) as connection:
        connection.execute(text)
    assert run_json("migrate", "--store", store)["applied"] == []
    assert run_json("migrate", "--sql", "--store", store)["sql"] == ""


def test_a_conversation_comes_in_and_goes_on_by_copy(store: str, tmp_path: Path) -> None:
    run("migrate", "--store", store)
    sent = run("send", "box", '{"n": 1}', "--store", store)
    assert sent.exit_code == 0, sent.output
    copied = run("copy", store, str(tmp_path / "folder"))
    assert copied.exit_code == 0, copied.output
    assert "sekret" not in copied.output
    assert run_json("mailboxes", "stats", "--store", str(tmp_path / "folder"))["queued"] == 1


@pytest.mark.parametrize("command", [("doctor",), ("backup", "x.db")])
def test_what_is_for_files_names_the_server_s_own_tools(
    store: str, command: tuple[str, ...]
) -> None:
    result = run(*command, "--store", store)
    assert result.exit_code != 0
    assert "PostgreSQL" in result.output
    assert "sekret" not in result.output


def test_the_demo_proves_itself_on_a_server(store: str) -> None:
    result = run_json("demo", "--store", store)
    assert result["ok"] is True
    assert result["totals"]["turns_found"] > 100
