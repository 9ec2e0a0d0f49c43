"""The script of the demo: conversations, split into turns of a user's message and its answer."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import assert_never

import msgspec

from treadle import Json, Message, Thread
from treadle.cli.json_lines import Bad, Good, Repeated, read_lines

_ID_BYTES = 200
"""The longest id that a store accepts, in bytes."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the user, and all messages up to the next one of the user."""

    number: int
    """From 1."""
    user: Message
    answer: tuple[Message, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages of the turn."""
        return self.user, *self.answer

    @property
    def payload(self) -> dict[str, Json]:
        """The payload of the turn's mailbox entry."""
        return {"turn": self.number, "text": self.user.content}


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation: the thread before the first turn (usually instructions), and the turns."""

    opening: Thread
    turns: tuple[Turn, ...]

    @property
    def thread_id(self) -> str:
        """The id of the thread, and of the mailbox."""
        return self.opening.id

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, in order."""
        said = (message for turn in self.turns for message in turn.messages)
        return *self.opening.messages, *said

    def run_id(self, number: int) -> str:
        """Return the id of the run that answers a turn, the same for each attempt."""
        suffix = f"-turn-{number}"
        name = self.thread_id
        # Cut whole characters: an id is limited in bytes.
        while len(name.encode()) + len(suffix) > _ID_BYTES:
            name = name[:-1]
        return name + suffix


def read_scripts(path: Path) -> Iterator[Script | Bad]:
    """Yield the scripts in a file of conversations, and the lines that cannot be read."""
    with path.open("rb") as lines:
        for line in read_lines(lines):
            match line:
                case Good(head=head):
                    yield write_script(head.thread)
                case Bad():
                    yield line
                case Repeated():
                    pass
                case _:
                    assert_never(line)


def write_script(thread: Thread) -> Script:
    """Return the script that results in `thread`."""
    starts = [at for at, message in enumerate(thread.messages) if message.role == "user"]
    starts.append(len(thread.messages))
    opening = msgspec.structs.replace(thread, messages=thread.messages[: starts[0]])
    return Script(opening=opening, turns=tuple(_cut(thread.messages, starts)))


def _cut(messages: tuple[Message, ...], starts: list[int]) -> Iterator[Turn]:
    for number, (start, end) in enumerate(pairwise(starts), start=1):
        yield Turn(number=number, user=messages[start], answer=messages[start + 1 : end])
