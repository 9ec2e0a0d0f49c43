"""The shell blocks of the documents are run as the pages claim: what is not so is found out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import Shell, commands_of


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def test_a_block_is_its_commands_each_with_what_is_shown_under_it() -> None:
    block = "$ echo a \\\n    b\na b\n\n$ true\n$ printf '1\\n\\n2\\n'\n1\n\n2\n"
    assert list(commands_of(block)) == [
        ("echo a \\\n    b", "a b"),
        ("true", ""),
        ("printf '1\\n\\n2\\n'", "1\n\n2"),
    ]


def test_a_block_without_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with"):
        list(commands_of("echo a\n"))


def test_what_is_shown_must_be_written_in_one_piece(shell: Shell) -> None:
    write = "printf 'one\\ntwo\\nthree\\n'"
    assert shell.run(write, "one\ntwo") is None
    assert shell.run(write, "one\n...\nthree") is None
    assert shell.run(write, "o...e") is None
    wrong = shell.run(write, "one\nthree", patience_s=0.5)
    assert wrong is not None
    assert "does not write:\none\nthree" in wrong


def test_what_was_shown_before_is_not_shown_again(shell: Shell) -> None:
    assert shell.run("echo one", "one") is None
    assert shell.run("true", "one", patience_s=0.5) is not None


def test_part_of_a_line_is_not_the_line(shell: Shell) -> None:
    assert shell.run("echo one two", "one", patience_s=0.5) is not None
    assert shell.run("echo one two", "two", patience_s=0.5) is not None


def test_a_command_that_fails_must_show_what_it_says(shell: Shell) -> None:
    assert shell.run("echo no; false", "no") is None
    assert shell.run("echo no; false", "") == "$ echo no; false\nends with 1:\nno\n"


def test_a_command_that_does_not_end_is_told(shell: Shell) -> None:
    wrong = shell.run("sleep 60", "", patience_s=0.5)
    assert wrong is not None
    assert "does not end" in wrong


def test_a_job_in_the_background_goes_on_and_is_waited_for(shell: Shell) -> None:
    assert shell.run("(sleep 0.3; echo late; sleep 60) &", "late") is None
    assert shell.run("kill -9 $!", "") is None
    assert shell.run("wait $!; echo $?", "137") is None


def test_a_job_may_write_before_the_command_does(shell: Shell) -> None:
    assert shell.run("(echo job 1; sleep 60) &", "job 1") is None
    assert shell.run("echo job 2; echo command", "command\njob 2") is None
    wrong = shell.run("echo command", "command\njob 3", patience_s=0.5)
    assert wrong is not None
    assert shell.run("kill -9 $!", "") is None


def test_a_command_is_on_a_terminal_and_reads_nothing(shell: Shell) -> None:
    ask = "import sys; print(sys.stdout.isatty(), sys.stdin.read() == '')"
    assert shell.run(f'python -c "{ask}"', "True True") is None


def test_nothing_of_this_test_run_is_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREADLE_STORE", "elsewhere")
    shell = Shell(tmp_path)
    try:
        assert shell.run("env | grep -c -e TREADLE_STORE -e PYTEST_", "0") is None
        assert shell.run("pwd", str(tmp_path)) is None
    finally:
        shell.close()
