"""What a client sees of a message: its pieces as long as none is missing, and then the rest."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import Message, ToolCall
from treadle.core.live import LivePiece
from treadle.http._run_events import PartBegan, PartEnded, PartGrew, RunEvent, ToolAnswered
from treadle.http._transcript import Transcript, output_of

PIECES = ["Hel", "lo ", "the", "re"]
TEXT = "".join(PIECES)


def piece(number: int, delta: str | None = None, message_id: str = "m") -> LivePiece:
    delta = PIECES[number] if delta is None else delta
    return LivePiece(message_id=message_id, number=number, delta=delta)


def shown(events: Iterable[RunEvent]) -> str:
    return "".join(event.delta for event in events if isinstance(event, PartGrew))


def check_order(events: list[RunEvent]) -> None:
    """Each part begins once, grows in between, and ends once."""
    state: dict[tuple[str, str, str], str] = {}
    for event in events:
        if isinstance(event, PartBegan | PartGrew | PartEnded):
            key = (event.message_id, event.part, event.call_id)
            before = state.get(key, "none")
            assert before == ("none" if isinstance(event, PartBegan) else "open"), event
            state[key] = "ended" if isinstance(event, PartEnded) else "open"
    assert set(state.values()) <= {"ended"}


@given(st.lists(st.integers(0, 3), max_size=8), st.booleans())
def test_whatever_pieces_come_the_client_ends_with_the_message(
    numbers: list[int], is_committed: bool
) -> None:
    transcript = Transcript()
    events = [event for number in numbers for event in transcript.show(piece(number))]
    assert TEXT.startswith(shown(events))
    if is_committed:
        events += transcript.commit(Message.assistant(TEXT, id="m"), "x")
        assert shown(events) == TEXT
        assert not transcript.is_wrong
    events += transcript.end()
    check_order(events)


def test_pieces_behind_a_gap_are_not_shown() -> None:
    transcript = Transcript()
    events = [event for number in (0, 1, 3) for event in transcript.show(piece(number))]
    assert shown(events) == "Hello "
    late = list(transcript.commit(Message.assistant(TEXT, id="m"), "x"))
    assert shown(late) == "there"


def test_who_joins_in_the_middle_waits_for_the_message() -> None:
    assert list(Transcript().show(piece(2))) == []


def test_pieces_of_a_message_that_is_there_are_not_shown() -> None:
    transcript = Transcript()
    assert shown(transcript.commit(Message.assistant(TEXT, id="m"), "x")) == TEXT
    assert list(transcript.show(piece(0))) == []
    assert list(transcript.commit(Message.assistant(TEXT, id="m"), "x")) == []


def test_a_message_that_became_another_makes_the_client_begin_again() -> None:
    transcript = Transcript()
    events = [*transcript.show(piece(0, "No"))]
    events += transcript.commit(Message.assistant("Yes", id="m"), "x")
    check_order(events)
    assert transcript.is_wrong
    transcript.forget([Message.assistant("Yes", id="m")])
    assert not transcript.is_wrong
    assert list(transcript.commit(Message.assistant("Yes", id="m"), "x")) == []


def test_a_message_that_was_never_committed_makes_the_client_begin_again() -> None:
    transcript = Transcript()
    events = [*transcript.show(piece(0)), *transcript.end()]
    check_order(events)
    assert transcript.is_wrong
    assert not next(event for event in events if isinstance(event, PartEnded)).is_complete


@pytest.mark.parametrize("streamed", ['{"a": 1}', '{"a":1}', '{"a"', ""])
def test_arguments_are_the_same_however_they_are_written(streamed: str) -> None:
    transcript = Transcript()
    events: list[RunEvent] = []
    if streamed:
        begun = LivePiece(
            message_id="m",
            part="tool_call",
            number=0,
            delta=streamed,
            tool_call_id="c",
            tool_name="f",
        )
        events += transcript.show(begun)
    call = ToolCall(id="c", name="f", arguments={"a": 1})
    events += transcript.commit(Message.assistant("", [call], id="m"), "x")
    check_order(events)
    assert shown(events) in ('{"a": 1}', '{"a":1}')
    assert not transcript.is_wrong
    assert transcript.unanswered == ("c",)
    [answered] = transcript.commit(Message.tool("c", "1"), "x")
    assert isinstance(answered, ToolAnswered)
    assert not transcript.unanswered


def test_internal_messages_are_not_shown() -> None:
    assert list(Transcript().commit(Message.internal_system("secret"), "x")) == []


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("1e3", "1e3"),
        ("1.10", "1.10"),
        ("9007199254740991", 2**53 - 1),
        ("9007199254740993", "9007199254740993"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("null", None),
        ('{"id": 1}', {"id": 1}),
        ("007", "007"),
        ("NaN", "NaN"),
        ("[" * 5_000, "[" * 5_000),
    ],
)
def test_a_result_that_is_a_number_loses_no_digit(text: str, output: object) -> None:
    """Most clients are programs in JavaScript, whose numbers have 53 bits."""
    assert output_of(Message.tool("c", text)) == output
