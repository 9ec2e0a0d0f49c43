"""The text of the repository uses the field's words, and one name for the library."""

import re

from tests.tidy.tree import texts

OLD_NAME = "we" + "ft"  # in two parts, or this file would contain it

PRIVATE_WORDS = {
    "also if": "even if",
    "any more": "no longer",
    "as in the reference": "as in tirea",
    "as the reference": "as tirea",
    "anew": "again, new",
    "belongs into": "belongs in",
    "by who": "by the caller, by a process that",
    "comes of it": "result",
    "footprint": "read set",
    "is no more": "is deleted",
    "lane": "queue head",
    "lanes": "queue heads",
    "let go": "released",
    "saboteur": "broken backend",
    "saboteurs": "broken backends",
    "shall": "should, must, will",
    "than who": "than a process that",
    "to who": "to the caller, to a process that",
    "told": "reported, documented",
    "turnstile": "fair lock",
    "whoever": "the caller, a process that",
}
"""Words that only this project used, or that nobody says, and what to write for them."""

HERE = "tests/tidy/test_language.py"


def test_nothing_has_the_old_name() -> None:
    found = [name for name, text in texts() if OLD_NAME in f"{name}\n{text}".lower()]
    assert not found, "\n".join(["", *found])


def test_words_that_only_we_would_use_are_not_used() -> None:
    pattern = re.compile(
        rf"(?<![a-z])({'|'.join(map(re.escape, PRIVATE_WORDS))})(?![a-z])", re.IGNORECASE
    )
    found = [
        f"{name}:{number}: {match[0]}: say {PRIVATE_WORDS[match[0].lower()]}"
        for name, text in texts()
        if name != HERE
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]
    assert not found, "\n".join(["", *found])


def test_pip_installs_treadle_from_its_folder_as_no_index_has_it() -> None:
    pattern = re.compile(r"pip install '?treadle\b")
    found = [
        f"{name}:{number}: write '.[...]', in Treadle's folder, or '../treadle[...]'"
        for name, text in texts()
        if name != HERE
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(["", *found])
