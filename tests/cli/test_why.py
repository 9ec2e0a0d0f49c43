"""`treadle mailboxes why`: an entry's obstacles in sentences."""

import pytest

import treadle
from tests.cli.support import in_store, run, run_json
from treadle.cli.terminal.output import time_text
from treadle.core.restoring import RestoreMailbox
from treadle.testing._harness.builders import claim_by_id, enqueue, entry

LATER = 4_000_000_000_000


@pytest.fixture(autouse=True)
def filled() -> None:
    """A store in which entries wait for many things."""

    async def fill(store: treadle.Store) -> None:
        await enqueue(store, entry("retry", "box"), entry("behind", "box"))
        retry = await claim_by_id(store, "retry")
        await store.mailboxes.nack(retry, retry_at=LATER, error="429", keep_order=True)
        await enqueue(store, entry("a", "held"), entry("b", "held"), entry("c", "held"))
        first = await claim_by_id(store, "a", consumer="ann", lease_ms=10**8)
        await store.mailboxes.take(first)
        await enqueue(store, entry("paused", "paused"), entry("next", "free"))
        await store.mailboxes.pause("paused", reason="a refund of 40 EUR")
        await enqueue(store, entry("until", "until"), entry("over", "over"))
        await store.mailboxes.pause("until", until=LATER)
        await store.mailboxes.cancel("over")
        await enqueue(store, entry("old", "old"))
        state = treadle.MailboxState(mailbox_id="old", current_generation=2)
        await store.commit((RestoreMailbox(mailbox=state),))

    in_store("agents", fill)


@pytest.mark.parametrize(
    ("entry_id", "first", "sentences"),
    [
        ("next", "next in mailbox free is queued", ["it is next: the first worker"]),
        ("retry", "retry in mailbox box is queued", [f"it is due at {time_text(LATER)}: 429"]),
        (
            "behind",
            "behind in mailbox box is queued",
            [f"retry comes first, and waits for its retry at {time_text(LATER)}: 429"],
        ),
        ("a", "a in mailbox held is claimed", ["ann holds it until 20"]),
        ("c", "c in mailbox held is queued", ["ann holds its mailbox until 20"]),
        ("paused", "paused in mailbox paused is queued", ["its mailbox has been paused since 20"]),
        ("until", "until in mailbox until is queued", ["its mailbox has been paused since 20"]),
        ("over", "over in mailbox over is cancelled", ["it ended at 20"]),
        (
            "old",
            "old in mailbox old is queued",
            ["its mailbox has been interrupted since: it is of"],
        ),
    ],
)
def test_each_obstacle_is_a_sentence(entry_id: str, first: str, sentences: list[str]) -> None:
    lines = run("mailboxes", "why", entry_id).stdout.splitlines()
    assert lines[0] == first
    assert len(lines) == 1 + len(sentences)
    for line, sentence in zip(lines[1:], sentences, strict=True):
        assert line.startswith(f"- {sentence}")


def test_the_lease_of_a_worker_that_died_is_named() -> None:
    async def die(store: treadle.Store) -> None:
        await enqueue(store, entry("left", "left"), entry("kept", "kept"))
        await claim_by_id(store, "left", consumer="vm-1", lease_ms=0)
        await claim_by_id(store, "kept", consumer="vm-2", lease_ms=0)
        await store.mailboxes.pause("kept")

    in_store("agents", die)
    first, lease, following = run("mailboxes", "why", "left").stdout.splitlines()
    assert first == "left in mailbox left is claimed"
    assert lease.startswith("- the lease of vm-1 ended at 20")
    assert lease.endswith(": the worker may have died")
    assert following.startswith("- it is next")
    first, lease, following = run("mailboxes", "why", "kept").stdout.splitlines()
    assert lease.startswith("- the lease of vm-2 ended at 20")
    assert following.startswith("- its mailbox has been paused since 20")


def test_sentences_end_with_what_else_is_known() -> None:
    ends = {
        "a": "together with b",
        "c": "with a, b",
        "paused": "until it is resumed: a refund of 40 EUR",
        "until": f"until {time_text(LATER)}",
        "over": ": cancelled",
        "old": "it is of generation 0, the mailbox at 2",
    }
    for entry_id, end in ends.items():
        assert run("mailboxes", "why", entry_id).stdout.rstrip().endswith(end)


def test_a_reason_of_several_lines_is_on_one_line() -> None:
    run("mailboxes", "pause", "paused", "--reason", "no\n- it is next")
    lines = run("mailboxes", "why", "paused").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("until it is resumed: no - it is next")


def test_json_of_why_is_the_explanation() -> None:
    found = run_json("mailboxes", "why", "behind")
    assert found["entry"]["entry_id"] == "behind"
    assert found["mailbox"]["mailbox_id"] == "box"
    assert found["obstacles"] == [
        {"kind": "behind_retry", "until": LATER, "entry_ids": ["retry"], "reason": "429"}
    ]


@pytest.mark.parametrize(
    ("mailbox_id", "entry_id", "first"),
    [
        ("box", "behind", "- retry comes first"),
        ("held", "c", "- ann holds its mailbox until"),
        ("free", "next", "- it is next"),
    ],
)
def test_of_a_mailbox_its_oldest_waiting_entry_is_explained(
    mailbox_id: str, entry_id: str, first: str
) -> None:
    lines = run("mailboxes", "why", mailbox_id).stdout.splitlines()
    assert lines[0] == (
        f"{mailbox_id} is a mailbox; its oldest entry that has not ended is {entry_id}"
    )
    assert lines[1].startswith(f"{entry_id} in mailbox {mailbox_id} is queued")
    assert lines[2].startswith(first)
    assert run_json("mailboxes", "why", mailbox_id)["entry"]["entry_id"] == entry_id


def test_of_a_mailbox_that_only_has_claims_the_oldest_is_explained() -> None:
    run("mailboxes", "cancel", "c")
    lines = run("mailboxes", "why", "held").stdout.splitlines()
    assert lines[2].startswith("- ann holds it until")


def test_a_mailbox_in_which_nothing_waits_says_so_in_one_line() -> None:
    run("mailboxes", "cancel", "next")
    result = run("mailboxes", "why", "free")
    assert result.exit_code == 1
    assert result.stderr == (
        "treadle: 'free' is a mailbox, and no entry waits there; "
        "`treadle mailboxes entries --mailbox free` lists those that ended\n"
    )


def test_an_id_of_nothing_is_an_error_of_one_line() -> None:
    result = run("mailboxes", "why", "none")
    assert result.exit_code == 1
    assert result.stderr == "treadle: entry or mailbox 'none' does not exist; check the id\n"
