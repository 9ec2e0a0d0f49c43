"""`treadle send`."""

import json
from pathlib import Path

import pytest

from tests.cli.support import run, run_json


def test_a_payload_is_json_or_text_or_standard_input() -> None:
    assert run_json("send", "m", '{"a": 1}')["entry"]["payload"] == {"a": 1}
    assert run_json("send", "m", "--text", "hi")["entry"]["payload"] == {"text": "hi"}
    assert run_json("send", "m", "-", input="[1, 2]\n")["entry"]["payload"] == [1, 2]
    entry_id = run("send", "m", "3").stdout.strip()
    assert run_json("mailboxes", "show", entry_id)["entry"]["payload"] == 3


def test_options_of_send_are_stored_in_the_entry() -> None:
    options = ("--priority", 7, "--delay", "90s", "--sender", "me", "--dedupe-key", "k")
    entry = run_json("send", "m", "1", *options)["entry"]
    assert entry["priority"] == 7
    assert entry["available_at"] - entry["created_at"] == 90_000
    assert entry["sender_id"] == "me"
    again = run_json("send", "m", "2", "--dedupe-key", "k")
    assert again == {"entry": entry, "was_known": True}


def test_headers_are_stored_beside_the_payload() -> None:
    options = ("--header", "tenant=acme", "--header", "empty=", "--header", "a=b=c")
    entry = run_json("send", "m", "1", *options)["entry"]
    assert entry["headers"] == {"tenant": "acme", "empty": "", "a": "b=c"}
    wrong = run("send", "m", "1", "--header", "tenant")
    assert wrong.exit_code == 2
    assert "'tenant' is not NAME=VALUE" in wrong.stderr
    twice = run("send", "m", "1", "--header", "tenant=acme", "--header", "tenant=other")
    assert twice.exit_code == 2
    assert "'tenant' is given twice" in twice.stderr


def test_a_payload_that_is_not_json_is_wrong_usage() -> None:
    for payload in ("{hi", "NaN", '"\\ud800"'):
        result = run("send", "m", payload)
        assert result.exit_code == 2
        assert "use --text for plain text" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "m", '"\udcff"'),
        ("send", "m", "\udcff"),
        ("send", "m", "--text", "\udcff"),
        ("runs", "answer", "r", '{"a": "\udcff"}'),
        ("documents", "put", "c", "k", "--value", '"\udcff"'),
        ("threads", "update", "t", "--metadata", '{"a": "\udcff"}'),
        ("threads", "fork", "t", "u", "--state", '"\udcff"'),
    ],
)
def test_an_argument_that_is_not_utf_8_is_an_error_of_one_line(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    run("send", "m", "1", "--store", tmp_path / "s")
    result = run(*arguments, "--store", tmp_path / "s")
    assert result.exit_code in (1, 2)
    assert result.stderr.splitlines()[-1].startswith(("treadle: ", "Error: "))


def test_send_needs_exactly_one_payload() -> None:
    assert run("send", "m").exit_code == 2
    assert run("send", "m", "1", "--text", "x").exit_code == 2
    assert run("send", "m", "1", "--priority", 256).exit_code == 2


def test_a_bad_id_is_an_error_of_one_line() -> None:
    result = run("send", "a/b", "1")
    assert result.exit_code == 1
    assert result.stderr.startswith("treadle: invalid mailbox id 'a/b'")


def test_invalid_standard_input_is_an_error() -> None:
    result = run("send", "m", "-", input="{")
    assert result.exit_code == 1
    assert "it is not JSON" in result.stderr


def test_json_of_send_is_the_entry() -> None:
    assert json.loads(run("send", "m", "1", "--json").stdout)["entry"]["status"] == "queued"
