"""The shell blocks of the documents run as the pages show; anything else is reported."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import Shell, commands_of


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def test_a_block_is_split_into_commands_and_their_output() -> None:
    block = "$ echo a \\\n    b\na b\n\n$ true\n$ printf '1\\n\\n2\\n'\n1\n\n2\n"
    assert list(commands_of(block)) == [
        ("echo a \\\n    b", "a b"),
        ("true", ""),
        ("printf '1\\n\\n2\\n'", "1\n\n2"),
    ]


def test_a_block_without_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with"):
        list(commands_of("echo a\n"))


def test_the_shown_output_must_be_written_in_one_piece(shell: Shell) -> None:
    write = "printf 'one\\ntwo\\nthree\\n'"
    assert shell.run(write, "one\ntwo") is None
    assert shell.run(write, "one\n...\nthree") is None
    assert shell.run(write, "o...e") is None
    wrong = shell.run(write, "one\nthree", patience_s=0.5)
    assert wrong is not None
    assert "does not write:\none\nthree" in wrong


def test_output_that_was_shown_before_does_not_count_again(shell: Shell) -> None:
    assert shell.run("echo one", "one") is None
    assert shell.run("true", "one", patience_s=0.5) is not None


def test_a_part_of_a_line_does_not_match_the_line(shell: Shell) -> None:
    assert shell.run("echo one two", "one", patience_s=0.5) is not None
    assert shell.run("echo one two", "two", patience_s=0.5) is not None


def test_a_command_that_fails_must_show_its_output(shell: Shell) -> None:
    assert shell.run("echo no; false", "no") is None
    assert shell.run("echo no; false", "") == "$ echo no; false\nends with 1:\nno\n"


def test_a_command_that_does_not_end_is_reported(shell: Shell) -> None:
    wrong = shell.run("sleep 60", "", patience_s=0.5)
    assert wrong is not None
    assert "does not end" in wrong


def test_a_background_job_continues_and_its_output_is_awaited(shell: Shell) -> None:
    assert shell.run("(sleep 0.3; echo late; sleep 60) &", "late") is None
    assert shell.run("kill -9 $!", "") is None
    assert shell.run("wait $!; echo $?", "137") is None


def test_a_job_may_write_before_the_command(shell: Shell) -> None:
    assert shell.run("(echo job 1; sleep 60) &", "job 1") is None
    assert shell.run("echo job 2; echo command", "command\njob 2") is None
    wrong = shell.run("echo command", "command\njob 3", patience_s=0.5)
    assert wrong is not None
    assert shell.run("kill -9 $!", "") is None


def test_a_command_writes_to_a_terminal_and_has_no_input(shell: Shell) -> None:
    ask = "import sys; print(sys.stdout.isatty(), sys.stdin.read() == '')"
    assert shell.run(f'python -c "{ask}"', "True True") is None


def test_the_environment_has_no_variables_of_this_test_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREADLE_STORE", "elsewhere")
    shell = Shell(tmp_path)
    try:
        assert shell.run("env | grep -c -e TREADLE_STORE -e PYTEST_", "0") is None
        assert shell.run("pwd", str(tmp_path)) is None
    finally:
        shell.close()
