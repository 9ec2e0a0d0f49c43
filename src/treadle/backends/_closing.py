"""Closing several things, even if some of them fail."""

from collections.abc import Callable


def close_all(*steps: Callable[[], object]) -> None:
    """Take all steps in their order, even if some fail.

    Raises:
        Exception: the first error; its notes name the later ones.
    """
    first: Exception | None = None
    for step in steps:
        try:
            step()
        except Exception as error:
            if first is None:
                first = error
            else:
                first.add_note(f"closing failed at another step too: {error!r}")
    if first is not None:
        raise first
