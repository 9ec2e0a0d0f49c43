"""`treadle documents`: what agents know, listed, shown, put and deleted."""

from pathlib import Path

from tests.cli.support import run, run_json
from treadle.cli.terminal.output import time_text


def test_a_document_is_put_shown_and_deleted(tmp_path: Path) -> None:
    here = ("--store", tmp_path / "store")
    stored = run_json(
        "documents", "put", "memories", "ann", "notes", "--value", '{"tea": 1.0}', *here
    )
    assert stored["created"] is True
    shown = run_json("documents", "show", "memories", "ann", "notes", *here)
    assert (shown["key"], shown["value"]) == (["ann", "notes"], {"tea": 1.0})
    assert shown["version"] == stored["version"]
    replaced = run("documents", "put", "memories", "ann", "notes", *here, input="[null]")
    assert "replaced" in replaced.stdout
    assert "tea" not in run("documents", "show", "memories", "ann", "notes", *here).stdout
    assert run_json("documents", "delete", "memories", "ann", "notes", *here) == {"deleted": True}
    missing = run("documents", "delete", "memories", "ann", "notes", *here)
    assert missing.exit_code != 0


def test_collections_and_documents_are_listed(tmp_path: Path) -> None:
    here = ("--store", tmp_path / "store")
    for key in (("ann",), ("ann", "notes"), ("ann", "pets"), ("bob", "notes")):
        run("documents", "put", "memories", *key, "--value", "1", *here)
    run("documents", "put", "marks", "seen", "--value", "true", *here)
    assert run_json("documents", "list", *here)["items"] == ["marks", "memories"]
    listed = run_json("documents", "list", "memories", "ann", *here)
    assert [item["key"] for item in listed["items"]] == [["ann", "notes"], ["ann", "pets"]]
    text = run("documents", "list", "memories", "--limit", 1, *here)
    assert text.stdout.splitlines()[-1].startswith("ann\t")
    assert "raise --limit" in text.stderr


def test_documents_expire_and_are_purged(tmp_path: Path) -> None:
    here = ("--store", tmp_path / "store")
    run("documents", "put", "memories", "stays", "--value", "1", *here)
    run("documents", "put", "memories", "later", "--value", "1", "--expires-in", "1h", *here)
    shown = run("documents", "show", "memories", "later", *here).stdout
    expires_at = run_json("documents", "show", "memories", "later", *here)["expires_at"]
    assert f"expires_at  {time_text(expires_at)}" in shown
    later = run_json("documents", "show", "memories", "later", *here)
    assert later["expires_at"] == later["updated_at"] + 3600 * 1000
    run("documents", "put", "memories", "gone", "--value", "1", "--expires-in", "0s", *here)
    listed = run_json("documents", "list", "memories", *here)
    assert [item["key"] for item in listed["items"]] == [["later"], ["stays"]]
    assert run_json("documents", "purge", "--older-than", "1h", *here) == {"purged": 0}
    assert run("documents", "purge", *here).stdout == "purged 1 document\n"
    assert run_json("documents", "purge", *here) == {"purged": 0}


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    here = ("--store", tmp_path / "store")
    run("documents", "put", "memories", "ann", "--value", "1", *here)
    no_text = run("documents", "put", "memories", "ann", *here, input=b'"\xff"')
    assert no_text.exit_code == 1
    assert "value: it is not UTF-8" in no_text.stderr
    no_json = run("documents", "put", "memories", "ann", "--value", "{", *here)
    assert no_json.exit_code != 0
    assert "not JSON" in no_json.stderr
    stale = run("documents", "put", "memories", "ann", "--value", "2", "--expected", 7, *here)
    assert stale.exit_code != 0
    assert run_json("documents", "show", "memories", "ann", *here)["value"] == 1
