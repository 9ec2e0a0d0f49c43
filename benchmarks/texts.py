"""The 1 KB messages of all subjects: words that compress about as well as prose."""

import json
import random
from collections.abc import Sequence
from functools import cache

SIZE = 1_000
"""Characters, all of them ASCII, in a message."""
PAYLOAD = 200
"""Bytes in the payload of an entry."""
DIFFERENT = 1_000
"""How many different messages there are, before they repeat."""


@cache
def _words() -> tuple[str, ...]:
    draw = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    return tuple(
        "".join(
            draw.choice(letters[: 6 + draw.randrange(20)]) for _ in range(draw.randrange(2, 10))
        )
        for _ in range(5_000)
    )


@cache
def _text(number: int) -> str:
    draw = random.Random(number)
    words = _words()
    parts: list[str] = []
    length = 0
    while length <= SIZE:
        # a few words are most of the text, as in prose
        word = words[min(len(words) - 1, int(draw.paretovariate(0.22)) - 1)]
        parts.append(word)
        length += len(word) + 1
    return " ".join(parts)[:SIZE]


def text(number: int) -> str:
    """Return the message with this number."""
    return _text(number % DIFFERENT)


def texts(count: int) -> Sequence[str]:
    """Return the first `count` messages."""
    return [text(number) for number in range(count)]


def payload(number: int) -> str:
    """Return the payload with this number, as JSON text."""
    work: dict[str, str | int] = {"id": number, "task": "send_mail", "body": ""}
    work["body"] = "x" * (PAYLOAD - len(json.dumps(work)))
    return json.dumps(work)
