"""The command on PostgreSQL: migrations, passwords, and the demo."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.support import PROJECT, line_of, read_until, run, run_json, spawn
from treadle.backends.postgres import schema
from treadle.backends.sql.migrations import Migration, all_migrations
from treadle.cli.terminal.failure import INTERRUPTED
from treadle.testing.builtin_subjects import location_of, remove_postgres, schema_of


@pytest.fixture
def store(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """A store whose schema does not exist yet; its URL has a password."""
    with_password = postgres_url.replace("postgres:@", "postgres:sekret@")
    yield f"{with_password}&schema={schema_of(tmp_path)}"
    remove_postgres(postgres_url, [tmp_path])


def test_a_store_without_a_schema_says_how_to_create_one(store: str) -> None:
    result = run("threads", "list", "--store", store)
    assert result.exit_code == 1
    assert "treadle migrate" in result.stderr
    assert "sekret" not in result.output


def test_migrations_are_pending_then_applied(store: str) -> None:
    assert "pending" in run("migrate", "--status", "--store", store).stdout
    first = run("migrate", "--store", store)
    assert first.stdout.startswith("applied 0001_tables\n")
    assert "sekret" not in first.output
    assert run_json("migrate", "--store", store)["applied"] == []
    [state] = run_json("migrate", "--status", "--store", store)["migrations"]
    assert state["applied_at"] > 1_000_000_000_000
    assert run("mailboxes", "stats", "--store", store).exit_code == 0


def test_the_printed_sql_migrates_the_database(
    store: str, postgres_url: str, tmp_path: Path
) -> None:
    text = run_json("migrate", "--sql", "--store", store)["sql"]
    assert "pending" in run("migrate", "--status", "--store", store).stdout
    with psycopg.connect(location_of(postgres_url, tmp_path).conninfo) as connection:
        connection.execute(text)
    assert run_json("migrate", "--store", store)["applied"] == []
    assert run_json("migrate", "--sql", "--store", store)["sql"] == ""


def test_the_doctor_names_the_damaged_rows_of_a_server(
    store: str, postgres_url: str, tmp_path: Path
) -> None:
    run("migrate", "--store", store)
    sent = [run("send", "box", "{}", "--store", store).stdout.strip() for _ in range(2)]
    healthy = run_json("doctor", "--store", store)
    assert healthy["findings"] == []
    assert healthy["rows"]["entries"] == 2
    location = location_of(postgres_url, tmp_path)
    with psycopg.connect(location.conninfo) as connection:
        connection.execute(f'SET search_path TO "{location.schema}"'.encode())
        connection.execute("UPDATE payloads SET payload = '{' WHERE entry_id = %s", (sent[0],))
        connection.execute("DELETE FROM payloads WHERE entry_id = %s", (sent[1],))
    result = run("doctor", "--store", store)
    assert result.exit_code == 1
    assert f"mailboxes/box/entries/{sent[0]}: Input data was truncated" in result.stdout
    assert f"mailboxes/box/entries/{sent[1]}: " in result.stdout


def test_the_doctor_names_rows_of_a_server_whose_parts_are_missing(
    store: str, postgres_url: str, tmp_path: Path
) -> None:
    run("migrate", "--store", store)
    sent = run("send", "box", "{}", "--store", store).stdout.strip()
    conversation = tmp_path / "t.jsonl"
    conversation.write_text('{"id": "t", "messages": [{"role": "user", "content": "hello"}]}')
    run("import", str(conversation), "--store", store)
    location = location_of(postgres_url, tmp_path)
    with psycopg.connect(location.conninfo) as connection:
        connection.execute(f'SET search_path TO "{location.schema}"'.encode())
        connection.execute("DELETE FROM mailboxes")
        connection.execute("DELETE FROM thread_bodies")
    result = run("doctor", "--store", store)
    assert result.exit_code == 1
    assert f"mailboxes/box/entries/{sent}: its mailbox is missing" in result.stdout
    assert "threads/t: its body is missing" in result.stdout


def test_a_store_is_copied_from_a_server_into_a_folder(store: str, tmp_path: Path) -> None:
    run("migrate", "--store", store)
    sent = run("send", "box", '{"n": 1}', "--store", store)
    assert sent.exit_code == 0, sent.output
    copied = run("copy", store, str(tmp_path / "folder"))
    assert copied.exit_code == 0, copied.output
    assert "sekret" not in copied.output
    assert run_json("mailboxes", "stats", "--store", str(tmp_path / "folder"))["queued"] == 1


def test_a_command_for_files_names_the_tools_of_the_server(store: str) -> None:
    result = run("backup", "x.db", "--store", store)
    assert result.exit_code != 0
    assert "PostgreSQL" in result.output
    assert "sekret" not in result.output


def test_the_demo_proves_itself_on_a_server(store: str, tmp_path: Path) -> None:
    (tmp_path / "two.jsonl").write_text(f"{line_of('a', 'x', 'y')}\n{line_of('b', 'z')}")
    result = run("demo", "--store", store, "--input", "two.jsonl", "--no-keep")
    assert result.exit_code == 0, result.output
    assert "every turn is there exactly once and in order" in result.stdout
    assert "To look at it" not in result.stdout


def test_the_demo_refuses_a_store_in_use(store: str) -> None:
    run("migrate", "--store", store)
    run("send", "box", "1", "--store", store)
    result = run("demo", "--store", store)
    assert result.exit_code == 1
    assert "is not empty; name a new one" in result.stderr
    assert "sekret" not in result.output


def test_a_contracting_migration_waits_for_its_option(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = Migration(
        number=100, name="less", text="-- contract: nobody asks.\nDROP INDEX runs_by_age;"
    )
    known = (*all_migrations("postgres"), contracts)
    monkeypatch.setattr(schema, "known_migrations", lambda: known)
    report = run("migrate", "--store", store).stdout.splitlines()
    assert report[0] == "applied 0001_tables"
    assert report[-1] == (
        "0100_less removes what an older Treadle uses; once none runs any longer, use --contract"
    )
    status = run("migrate", "--status", "--store", store).stdout.splitlines()
    assert status[-1] == "100\tless\tpending, with --contract"
    assert run_json("migrate", "--status", "--store", store)["migrations"][-1]["contracts"] is True
    assert run("migrate", "--sql", "--store", store).stdout == ""
    assert "DROP INDEX" in run("migrate", "--sql", "--contract", "--store", store).stdout


def test_a_backup_to_a_server_does_not_show_the_password(store: str) -> None:
    run("send", "box", "1", "--store", "sqlite:///a.db")
    result = run("backup", store, "--store", "sqlite:///a.db")
    assert result.exit_code == 2
    assert "treadle copy" in result.stderr
    assert "sekret" not in result.output


AGENT = """
import sys

async def handle(delivery):
    print("worked by", *sys.orig_argv, file=sys.stderr)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_workers_do_not_show_the_password(store: str, tmp_path: Path, processes: int) -> None:
    (tmp_path / "agent.py").write_text(AGENT)
    run("migrate", "--store", store)
    run("send", "box", "1", "--store", store)
    options = ("--until-idle", "--processes", processes)
    environment = {"TREADLE_STORE": store}  # which other users of the machine cannot read
    child = spawn("work", "agent:handle", *options, cwd=tmp_path, environment=environment)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "working postgresql://postgres:***@" in errors
    assert "worked by" in errors
    assert "sekret" not in errors


def test_a_server_does_not_show_the_password(store: str) -> None:
    run("migrate", "--store", store)
    with spawn("serve", "--port", 0, environment={"TREADLE_STORE": store}) as child:
        line = read_until(child, "serving")
        child.send_signal(signal.SIGTERM)
    assert "serving postgresql://postgres:***@" in line
    assert "sekret" not in line


def test_the_workers_of_the_demo_do_not_show_the_password(store: str, tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    (tmp_path / "one.jsonl").write_text(line_of("only", "one", "two"))
    input_file = tmp_path / "one.jsonl"
    child = spawn("demo", "--store", store, "--input", input_file, environment=environment)
    try:
        read_until(child, "killed worker")
        workers = lines_of_workers(tmp_path)
        assert workers
        assert "sekret" not in workers
    finally:
        child.kill()
        child.communicate()


def lines_of_workers(folder: Path) -> str:
    listing = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    lines = listing.stdout.splitlines()
    ours = [line for line in lines if str(folder) in line and "treadle.cli.demo.process" in line]
    return "\n".join(ours)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary folders, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_stopped_demo_on_a_server_of_its_own_leaves_nothing(temporary: Path) -> None:
    input_file = temporary / "one.jsonl"
    input_file.write_text(line_of("only", "one", "two"))
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres.demo", "--input", str(input_file)],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        read_until(child, "killed worker")
        assert lines_of_workers(temporary)
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == INTERRUPTED, errors
    assert "Traceback" not in errors
    assert [path.name for path in temporary.iterdir() if path.is_dir()] == []
    assert lines_of_workers(temporary) == ""
