"""What a client sends costs work in proportion to its size, and not to the square of it."""

from collections.abc import Iterator

import pytest

from treadle import Message
from treadle.core.messages import MessagePage, StoredMessage, ToolCall
from treadle.core.run_messages import new_of
from treadle.errors import InvalidValue
from treadle.http._input import _unique
from treadle.worker import RunRequest
from treadle.worker._turn import _that_came_with

SIZE = 2_000


class Counted(str):
    """A text that counts how often one is compared with another."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


@pytest.fixture(autouse=True)
def compared() -> Iterator[None]:
    Counted.compared = 0
    yield
    assert Counted.compared < 5 * SIZE


def test_a_key_that_comes_twice_is_found_in_one_look() -> None:
    pairs = [(Counted(f"k{number}"), number) for number in range(SIZE)]
    with pytest.raises(InvalidValue, match="'k1999' comes twice"):
        _unique([*pairs, (Counted(f"k{SIZE - 1}"), 0)])


def test_results_that_come_again_are_found_in_one_look() -> None:
    """A message may have thousands of tool calls, and a client may send as many results."""
    calls = [ToolCall(id=Counted(f"c{number}"), name="ask") for number in range(SIZE)]
    said = [
        Message.tool(Counted("c0"), "known", id="known"),
        Message.assistant("", calls, id="asked"),
        Message.tool(Counted("c1"), "of an earlier call", id="earlier"),
    ]
    page = MessagePage(
        messages=tuple(
            StoredMessage(cursor=len(said) - number, message=message)
            for number, message in enumerate(said)
        )
    )
    results = [
        Message.tool(Counted(f"c{number}"), "given", id=Counted(f"m{number}"))
        for number in range(SIZE)
    ]
    assert new_of(page, results) == results[1:]


def test_the_messages_of_a_run_are_found_in_one_look() -> None:
    said = [Message.user("hi", id=Counted(f"m{number}")) for number in range(SIZE)]
    ids = tuple(Counted(f"m{number}") for number in range(0, SIZE, 2))
    asked = RunRequest(agent_id="a", thread_id="t", run_id="r", message_ids=ids)
    assert _that_came_with(asked, said) == tuple(said[::2])
