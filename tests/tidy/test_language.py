"""The text of the repository uses the field's words, and one name for the library."""

from tests.tidy.tree import texts

OLD_NAME = "we" + "ft"  # in two parts, or this file would contain it


def test_nothing_has_the_old_name() -> None:
    found = [name for name, text in texts() if OLD_NAME in f"{name}\n{text}".lower()]
    assert not found, "\n".join(["", *found])
