"""Claims: what is claimable, the order of claims, the claim rule, the fence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import ClaimConflict, MailboxState
from treadle.backends.model.tables import Tables
from treadle.core import claims
from treadle.core.claims import ClaimRequest, ExtendLease, Hold
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import STATUSES, UNFINISHED, EntryStatus, MailboxEntry, is_terminal
from treadle.testing._harness.builders import entry

NOW = 1_000


def in_status(status: EntryStatus, **fields: Any) -> MailboxEntry:
    """An entry of 3 attempts, as a store would hold it in that status."""
    base: dict[str, Any] = {"attempt_count": 3, "available_at": 7, "last_error": "before"}
    if status == "claimed":
        base |= {"claim_token": "mine", "claimed_by": "worker", "lease_until": NOW + 1}
    return entry("e", status=status, **base | fields)


def tables_of(*rows: MailboxEntry | MailboxState) -> Tables:
    tables = Tables()
    for row in rows:
        if isinstance(row, MailboxEntry):
            tables.entries.put(row.entry_id, row)
        else:
            tables.mailboxes.put(row.mailbox_id, row)
    return tables


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_terminal_unless_it_is_queued_or_claimed(status: EntryStatus) -> None:
    assert is_terminal(in_status(status)) is (status not in UNFINISHED)


@pytest.mark.parametrize(
    ("status", "fields", "claimable", "live", "due"),
    [
        ("queued", {"available_at": NOW - 1}, True, False, NOW - 1),
        ("queued", {"available_at": NOW}, True, False, NOW),
        ("queued", {"available_at": NOW + 1}, False, False, NOW + 1),
        ("claimed", {"lease_until": NOW - 1}, True, False, NOW - 1),
        ("claimed", {"lease_until": NOW}, True, False, NOW),
        ("claimed", {"lease_until": NOW + 1}, False, True, NOW + 1),
        ("claimed", {"lease_until": None}, False, True, 7),
        ("accepted", {}, False, False, 7),
        ("dead_letter", {}, False, False, 7),
    ],
)
def test_an_entry_is_claimable_from_its_time_on(
    status: EntryStatus, fields: dict[str, Any], claimable: bool, live: bool, due: int
) -> None:
    each = in_status(status, **fields)
    assert claims.is_claimable(each, NOW) is claimable
    assert claims.has_live_lease(each, NOW) is live
    assert claims.has_expired(each, NOW) is (status == "claimed" and claimable)
    if status in UNFINISHED:
        assert claims.due_time(each) == due


def test_claims_are_ordered_by_priority_then_due_time_then_age_then_id() -> None:
    ordered = [
        entry("z", priority=9, available_at=9, created_at=9),
        entry("y", priority=5, available_at=1, created_at=9),
        entry("x", priority=5, available_at=2, created_at=1),
        entry("b", priority=5, available_at=2, created_at=2),
        entry("c", priority=5, available_at=2, created_at=2),
        entry("a", priority=0),
    ]
    assert sorted(ordered[::-1], key=claims.claim_order) == ordered  # noqa: C415


@st.composite
def queues(draw: st.DrawFn) -> list[MailboxEntry]:
    """Entries of few mailboxes, in every status, about `NOW`."""
    times = st.integers(NOW - 2, NOW + 2)
    return [
        entry(
            f"e{number}",
            draw(st.sampled_from("abc")),
            status=draw(st.sampled_from(["queued", "queued", "claimed", "accepted"])),
            priority=draw(st.integers(0, 2)),
            available_at=draw(times),
            created_at=draw(times),
            lease_until=draw(times),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


requests = st.builds(
    ClaimRequest,
    consumer=st.just("worker"),
    limit=st.integers(0, 4),
    mailbox_id=st.sampled_from(["a", "b", None]),
)


@given(queues(), requests)
def test_a_claim_takes_at_most_its_limit_and_one_from_each_mailbox(
    queue: list[MailboxEntry], request: ClaimRequest
) -> None:
    chosen = claims.choose(queue, request, NOW)
    boxes = [each.mailbox_id for each in chosen]
    assert len(chosen) <= request.limit
    assert len(boxes) == len(set(boxes))
    assert request.mailbox_id is None or set(boxes) <= {request.mailbox_id}


@given(queues(), requests)
def test_a_claim_takes_claimable_entries_from_mailboxes_without_a_live_lease(
    queue: list[MailboxEntry], request: ClaimRequest
) -> None:
    held = {each.mailbox_id for each in queue if claims.has_live_lease(each, NOW)}
    for each in claims.choose(queue, request, NOW):
        assert each in queue
        assert claims.is_claimable(each, NOW)
        assert each.mailbox_id not in held


@given(queues(), requests)
def test_a_claim_takes_the_best_of_each_mailbox_and_the_best_mailboxes_first(
    queue: list[MailboxEntry], request: ClaimRequest
) -> None:
    held = {each.mailbox_id for each in queue if claims.has_live_lease(each, NOW)}
    best: dict[str, MailboxEntry] = {}
    for each in queue:
        free = each.mailbox_id not in held and claims.is_claimable(each, NOW)
        if free and request.mailbox_id in (None, each.mailbox_id):
            rival = best.get(each.mailbox_id, each)
            best[each.mailbox_id] = min(each, rival, key=claims.claim_order)
    expected = sorted(best.values(), key=claims.claim_order)[: request.limit]
    assert claims.choose(queue, request, NOW) == expected


@given(queues(), requests, st.randoms())
def test_a_claim_does_not_depend_on_the_order_of_the_rows(
    queue: list[MailboxEntry], request: ClaimRequest, random: Any
) -> None:
    expected = claims.choose(queue, request, NOW)
    random.shuffle(queue)
    assert claims.choose(iter(queue), request, NOW) == expected


@given(queues(), st.integers(0, 7))
def test_an_entry_claimed_by_id_need_not_be_due_but_its_mailbox_must_be_free(
    queue: list[MailboxEntry], number: int
) -> None:
    request = ClaimRequest(consumer="worker", entry_id=f"e{number}")
    held = {each.mailbox_id for each in queue if claims.has_live_lease(each, NOW)}
    expected = [
        each
        for each in queue
        if each.entry_id == f"e{number}"
        and each.mailbox_id not in held
        and each.status in UNFINISHED
    ]
    assert claims.choose(queue, request, NOW) == expected


def test_no_lease_ends_after_the_largest_time() -> None:
    request = ClaimRequest(consumer="c", lease_ms=LARGEST_TIME)
    assert claims.claimed(in_status("queued"), request, "t", NOW).lease_until == LARGEST_TIME
    tables = tables_of(in_status("claimed"))
    ExtendLease(entry_id="e", claim_token="mine", extension_ms=LARGEST_TIME).apply(tables, NOW)
    assert tables.entries["e"].lease_until == LARGEST_TIME


STATE = MailboxState(mailbox_id="box", current_generation=0)


@pytest.mark.parametrize("state", [(), (STATE,)], ids=["no state", "state"])
def test_the_fence_lets_the_holder_pass(state: tuple[MailboxState, ...]) -> None:
    tables = tables_of(in_status("claimed"), *state)
    tables.commit()
    Hold(entry_id="e", claim_token="mine").apply(tables, NOW)
    assert tables.commit() == []


FENCED: dict[str, tuple[tuple[MailboxEntry | MailboxState, ...], str, str]] = {
    "gone": ((), "mine", "gone"),
    "another token": ((in_status("claimed"), STATE), "other", "claimed with another token"),
    "queued again": ((in_status("queued"), STATE), "mine", "it is queued"),
    "settled": ((in_status("accepted"), STATE), "mine", "it is already accepted"),
    "superseded": ((in_status("superseded"), STATE), "mine", "it is already superseded"),
    "lease over": (
        (in_status("claimed", lease_until=NOW), STATE),
        "mine",
        "its lease expired at 1000",
    ),
    "interrupted": (
        (in_status("claimed"), MailboxState(mailbox_id="box", current_generation=1)),
        "mine",
        "was interrupted",
    ),
}


@pytest.mark.parametrize(("rows", "token", "reason"), FENCED.values(), ids=FENCED)
def test_the_fence_stops_everyone_else_and_says_why(
    rows: tuple[MailboxEntry | MailboxState, ...], token: str, reason: str
) -> None:
    with pytest.raises(ClaimConflict, match="is not held") as caught:
        Hold(entry_id="e", claim_token=token).apply(tables_of(*rows), NOW)
    assert caught.value.entry_id == "e"
    assert reason in caught.value.reason
