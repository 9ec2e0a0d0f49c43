"""Mailboxes: each transition's guard and effect, the claim rule, the fence, order and pages."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import ClaimConflict, GenerationMismatch, MailboxState
from treadle.core import mailboxes as rules
from treadle.core.limits import LARGEST_TIME
from treadle.core.mailboxes import (
    ClaimRequest,
    EntryQuery,
    EntryStatus,
    MailboxEntry,
    Transition,
)
from treadle.testing._harness.builders import entry

NOW = 1_000
STATUSES: tuple[EntryStatus, ...] = get_args(EntryStatus)
UNFINISHED = ("queued", "claimed")


def in_status(status: EntryStatus, **fields: Any) -> MailboxEntry:
    """An entry of 3 attempts, as a store would hold it in that status."""
    base: dict[str, Any] = {"attempt_count": 3, "available_at": 7, "last_error": "before"}
    if status == "claimed":
        base |= {"claim_token": "mine", "claimed_by": "worker", "lease_until": NOW + 1}
    return entry("e", status=status, **base | fields)


Effect = dict[str, Any]
ENDED: Effect = {"claim_token": None, "claimed_by": None, "lease_until": None, "updated_at": NOW}
HELD: dict[str, tuple[Callable[[str], Transition], Effect]] = {
    "ack": (lambda token: rules.ack("e", token, NOW), ENDED | {"status": "accepted"}),
    "nack": (
        lambda token: rules.nack("e", token, NOW, retry_at=NOW + 5, error="boom"),
        ENDED | {"status": "queued", "available_at": NOW + 5, "last_error": "boom"},
    ),
    "dead letter": (
        lambda token: rules.dead_letter("e", token, NOW, error="boom"),
        ENDED | {"status": "dead_letter", "last_error": "boom"},
    ),
    "release": (
        lambda token: rules.release("e", token, NOW),
        ENDED | {"status": "queued", "attempt_count": 2},
    ),
    "extend lease": (
        lambda token: rules.extend_lease("e", token, NOW, extension_ms=50),
        {"lease_until": NOW + 50, "updated_at": NOW},
    ),
}
UNCONDITIONAL: dict[str, tuple[Transition, Effect]] = {
    "cancel": (
        rules.cancel("e", NOW),
        ENDED | {"status": "cancelled", "last_error": "cancelled"},
    ),
    "supersede": (
        rules.supersede("e", NOW, reason="newer"),
        ENDED | {"status": "superseded", "last_error": "newer"},
    ),
}


def test_every_transition_of_the_core_is_in_these_tables() -> None:
    made = {
        name.replace("_", " ")
        for name, value in vars(rules).items()
        if getattr(value, "__annotations__", {}).get("return") is Transition
    }
    assert made == {*HELD, *UNCONDITIONAL}


@pytest.mark.parametrize(("make", "effect"), HELD.values(), ids=HELD)
def test_the_holder_may_and_exactly_this_changes(
    make: Callable[[str], Transition], effect: Effect
) -> None:
    before, transition = in_status("claimed"), make("mine")
    assert transition.entry_id == "e"
    assert transition.allows(before)
    assert transition.apply_to(before) == msgspec.structs.replace(before, **effect)


@pytest.mark.parametrize("make", [make for make, _ in HELD.values()], ids=HELD)
@pytest.mark.parametrize("status", STATUSES)
def test_nobody_else_may(make: Callable[[str], Transition], status: EntryStatus) -> None:
    assert not make("other").allows(in_status(status))
    if status != "claimed":
        assert not make("mine").allows(in_status(status, claim_token="mine"))


@pytest.mark.parametrize("make", [make for make, _ in HELD.values()], ids=HELD)
def test_a_holder_whose_lease_ran_out_may_while_nobody_took_the_entry(
    make: Callable[[str], Transition],
) -> None:
    assert make("mine").allows(in_status("claimed", lease_until=0))


@pytest.mark.parametrize(("transition", "effect"), UNCONDITIONAL.values(), ids=UNCONDITIONAL)
@pytest.mark.parametrize("status", UNFINISHED)
def test_what_has_not_ended_may_be_ended_by_anyone(
    transition: Transition, effect: Effect, status: EntryStatus
) -> None:
    before = in_status(status)
    assert transition.allows(before)
    assert transition.apply_to(before) == msgspec.structs.replace(before, **effect)


@pytest.mark.parametrize("transition", [each for each, _ in UNCONDITIONAL.values()])
@pytest.mark.parametrize("status", sorted(rules.TERMINAL))
def test_what_has_ended_stays(transition: Transition, status: EntryStatus) -> None:
    assert not transition.allows(in_status(status))


def test_attempts_do_not_fall_below_zero() -> None:
    before = in_status("claimed", attempt_count=0)
    assert rules.release("e", "mine", NOW).apply_to(before).attempt_count == 0


@pytest.mark.parametrize("status", STATUSES)
def test_terminal_is_what_is_neither_queued_nor_claimed(status: EntryStatus) -> None:
    assert rules.is_terminal(in_status(status)) is (status not in UNFINISHED)


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
def test_what_is_claimable_and_when(
    status: EntryStatus, fields: dict[str, Any], claimable: bool, live: bool, due: int
) -> None:
    each = in_status(status, **fields)
    assert rules.is_claimable(each, NOW) is claimable
    assert rules.has_live_lease(each, NOW) is live
    assert rules.has_expired(each, NOW) is (status == "claimed" and claimable)
    if status in UNFINISHED:
        assert rules.due_time(each) == due


def test_the_order_of_claims() -> None:
    ordered = [
        entry("z", priority=9, available_at=9, created_at=9),
        entry("y", priority=5, available_at=1, created_at=9),
        entry("x", priority=5, available_at=2, created_at=1),
        entry("b", priority=5, available_at=2, created_at=2),
        entry("c", priority=5, available_at=2, created_at=2),
        entry("a", priority=0),
    ]
    assert sorted(ordered[::-1], key=rules.claim_order) == ordered  # noqa: C415


def test_the_order_of_listings() -> None:
    ordered = [entry("c", created_at=1), entry("a", created_at=2), entry("b", created_at=2)]
    assert sorted(ordered[::-1], key=rules.listing_order) == ordered  # noqa: C415


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
    chosen = rules.choose(queue, request, NOW)
    boxes = [each.mailbox_id for each in chosen]
    assert len(chosen) <= request.limit
    assert len(boxes) == len(set(boxes))
    assert request.mailbox_id is None or set(boxes) <= {request.mailbox_id}


@given(queues(), requests)
def test_a_claim_takes_what_is_claimable_from_mailboxes_without_live_lease(
    queue: list[MailboxEntry], request: ClaimRequest
) -> None:
    held = {each.mailbox_id for each in queue if rules.has_live_lease(each, NOW)}
    for each in rules.choose(queue, request, NOW):
        assert each in queue
        assert rules.is_claimable(each, NOW)
        assert each.mailbox_id not in held


@given(queues(), requests)
def test_a_claim_takes_the_best_of_each_mailbox_and_the_best_mailboxes_first(
    queue: list[MailboxEntry], request: ClaimRequest
) -> None:
    held = {each.mailbox_id for each in queue if rules.has_live_lease(each, NOW)}
    best: dict[str, MailboxEntry] = {}
    for each in queue:
        free = each.mailbox_id not in held and rules.is_claimable(each, NOW)
        if free and request.mailbox_id in (None, each.mailbox_id):
            rival = best.get(each.mailbox_id, each)
            best[each.mailbox_id] = min(each, rival, key=rules.claim_order)
    expected = sorted(best.values(), key=rules.claim_order)[: request.limit]
    assert rules.choose(queue, request, NOW) == expected


@given(queues(), requests, st.randoms())
def test_a_claim_does_not_depend_on_the_order_of_the_rows(
    queue: list[MailboxEntry], request: ClaimRequest, random: Any
) -> None:
    expected = rules.choose(queue, request, NOW)
    random.shuffle(queue)
    assert rules.choose(iter(queue), request, NOW) == expected


def test_what_is_claimed_has_token_consumer_lease_and_one_more_attempt() -> None:
    before = in_status("queued")
    after = rules.claimed(before, ClaimRequest(consumer="c", lease_ms=10), "token", NOW)
    assert after == msgspec.structs.replace(
        before,
        status="claimed",
        claim_token="token",
        claimed_by="c",
        lease_until=NOW + 10,
        attempt_count=4,
        updated_at=NOW,
    )


def test_no_lease_ends_after_the_end_of_time() -> None:
    request = ClaimRequest(consumer="c", lease_ms=LARGEST_TIME)
    assert rules.claimed(in_status("queued"), request, "t", NOW).lease_until == LARGEST_TIME
    kept = rules.extend_lease("e", "mine", NOW, extension_ms=LARGEST_TIME)
    assert kept.apply_to(in_status("claimed")).lease_until == LARGEST_TIME


def test_a_requeued_dead_letter_is_as_if_just_sent_and_keeps_its_error() -> None:
    before = in_status("dead_letter", generation=1)
    assert rules.requeued(before, 4, NOW) == msgspec.structs.replace(
        before,
        status="queued",
        generation=4,
        available_at=NOW,
        attempt_count=0,
        updated_at=NOW,
    )


def test_ensuring_makes_generation_0_and_touches_what_is_there() -> None:
    made = rules.ensured(None, "box", 5)
    assert made == MailboxState(mailbox_id="box", current_generation=0, updated_at=5)
    there = MailboxState(mailbox_id="box", current_generation=3, updated_at=5)
    assert rules.ensured(there, "box", 9) == msgspec.structs.replace(there, updated_at=9)


def test_an_interrupt_raises_the_generation_by_one() -> None:
    assert rules.interrupted(None, "box", 5).current_generation == 1
    there = MailboxState(mailbox_id="box", current_generation=3, updated_at=5)
    after = rules.interrupted(there, "box", 9)
    assert after == MailboxState(mailbox_id="box", current_generation=4, updated_at=9)


STATE = MailboxState(mailbox_id="box", current_generation=0)


@pytest.mark.parametrize("state", [None, STATE])
def test_the_fence_lets_the_holder_pass(state: MailboxState | None) -> None:
    held = in_status("claimed")
    rules.check_held(held, state, "e", "mine", NOW)
    assert rules.has_live_lease(held, NOW)


FENCED: dict[str, tuple[MailboxEntry | None, MailboxState | None, str, str]] = {
    "gone": (None, None, "mine", "gone"),
    "another token": (in_status("claimed"), STATE, "other", "not with this token"),
    "queued again": (in_status("queued"), STATE, "mine", "it is queued"),
    "settled": (in_status("accepted"), STATE, "mine", "it is accepted"),
    "superseded": (in_status("superseded"), STATE, "mine", "it is superseded"),
    "lease over": (in_status("claimed", lease_until=NOW), STATE, "mine", "ran out at 1000"),
    "interrupted": (
        in_status("claimed"),
        MailboxState(mailbox_id="box", current_generation=1),
        "mine",
        "was interrupted",
    ),
}


@pytest.mark.parametrize(("held", "state", "token", "reason"), FENCED.values(), ids=FENCED)
def test_the_fence_stops_everyone_else(
    held: MailboxEntry | None, state: MailboxState | None, token: str, reason: str
) -> None:
    with pytest.raises(ClaimConflict, match="is not held") as caught:
        rules.check_held(held, state, "e", token, NOW)
    assert caught.value.entry_id == "e"
    assert reason in caught.value.reason


@pytest.mark.parametrize("generation", [0, 1])
def test_an_entry_of_the_current_generation_may_come_in(generation: int) -> None:
    state = MailboxState(mailbox_id="box", current_generation=generation)
    new = entry("e", generation=generation)
    rules.check_generation(new, state)
    rules.check_generation(new, None)
    assert new.generation == state.current_generation


@pytest.mark.parametrize(("current", "given_"), [(1, 0), (0, 1), (5, 3)])
def test_an_entry_of_another_generation_may_not(current: int, given_: int) -> None:
    state = MailboxState(mailbox_id="box", current_generation=current)
    with pytest.raises(GenerationMismatch) as caught:
        rules.check_generation(entry("e", generation=given_), state)
    assert (caught.value.mailbox_id, caught.value.expected, caught.value.actual) == (
        "box",
        current,
        given_,
    )


MATCHING: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing asked": ({}, True),
    "its mailbox": ({"mailbox_id": "box"}, True),
    "another mailbox": ({"mailbox_id": "other"}, False),
    "its status": ({"status": "queued"}, True),
    "another status": ({"status": "claimed"}, False),
    "its origin": ({"origin": "external"}, True),
    "another origin": ({"origin": "internal"}, False),
}


@pytest.mark.parametrize(("query", "matches"), MATCHING.values(), ids=MATCHING)
def test_a_query_matches(query: dict[str, Any], matches: bool) -> None:
    assert rules.entry_matches(entry("e"), EntryQuery(**query)) is matches
