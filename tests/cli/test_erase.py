"""`treadle erase`."""

import os
from pathlib import Path

import pytest

import treadle
from tests.cli.support import in_store, run, run_json


def test_a_user_is_erased_and_the_rest_stays(tmp_path: Path) -> None:
    async def fill(store: treadle.Store) -> None:
        for owner in ("ann", "bob"):
            await store.threads.create(treadle.Thread(id=f"of {owner}", resource_id=owner))
            await store.mailboxes.send(f"of {owner}", "work")

    store = tmp_path / "agents"
    in_store(store, fill)
    refused = run("erase", "--owner", "ann", "--store", store)
    assert refused.exit_code == 2
    assert "needs --yes" in refused.stderr
    result = run("erase", "--owner", "ann", "--yes", "--store", store)
    assert result.stdout == "erased 1 thread, 1 mailbox, 1 entry\n"
    [left] = run_json("threads", "list", "--store", store)["items"]
    assert left["id"] == "of bob"
    assert not result.stderr
    again = run_json("erase", "--owner", "ann", "--yes", "--store", store)
    assert again == {"threads": 0, "runs": 0, "mailboxes": 0, "entries": 0, "documents": 0}


def test_documents_that_may_be_of_another_user_are_named(tmp_path: Path) -> None:
    async def fill(store: treadle.Store) -> None:
        for thread_id in ("bob", "chat"):
            await store.threads.create(treadle.Thread(id=thread_id, resource_id="ann"))
        await store.documents.put("memories", ("bob", "drinks"), "tea")

    store = tmp_path / "agents"
    in_store(store, fill)
    result = run("erase", "--owner", "ann", "--yes", "--store", store)
    assert result.stdout.splitlines() == [
        "erased 2 threads",
        "left the documents whose keys begin with 'bob', a thread of theirs",
    ]
    in_store(store, fill)
    erased = run_json("erase", "--owner", "ann", "--yes", "--thread-documents", "--store", store)
    assert (erased["threads"], erased["documents"], "left" in erased) == (2, 1, False)


def test_threads_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    store = tmp_path / "agents"
    in_store(store, _fill_ann)
    (store / "torn.json").write_text("{")
    result = run("erase", "--owner", "ann", "--yes", "--store", store)
    assert result.stdout.splitlines() == [
        "erased 1 thread, 1 mailbox, 1 entry, 1 document",
        "left torn.json, which cannot be read and may be theirs; see `treadle doctor`",
    ]


async def _fill_ann(store: treadle.Store) -> None:
    await store.threads.create(treadle.Thread(id="chat", resource_id="ann"))
    await store.mailboxes.send("chat", "work")
    await store.documents.put("memories", ("ann", "drinks"), "tea")


def test_a_dry_run_says_how_much_would_be_deleted(tmp_path: Path) -> None:
    store = tmp_path / "agents"
    in_store(store, _fill_ann)
    result = run("erase", "--owner", "ann", "--dry-run", "--store", store)
    assert result.stdout == "would erase 1 thread, 1 mailbox, 1 entry, 1 document\n"
    counted = run_json("erase", "--owner", "ann", "--dry-run", "--store", store)
    assert counted == {"threads": 1, "runs": 0, "mailboxes": 1, "entries": 1, "documents": 1}
    assert run_json("erase", "--owner", "ann", "--yes", "--store", store) == counted


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_the_question_says_how_much_is_deleted(tmp_path: Path) -> None:
    from tests.cli.terminal import run_in_terminal

    store = tmp_path / "agents"
    in_store(store, _fill_ann)
    question = "Delete everything of 'ann': 1 thread, 1 mailbox, 1 entry, 1 document?"
    output, code = run_in_terminal(
        "erase", "--owner", "ann", "--store", store, answers={question: "n\n"}, insists=True
    )
    assert code == 1, output
    assert "nothing was deleted" in output
    assert len(run_json("threads", "list", "--store", store)["items"]) == 1
