"""The file with the tokens of `treadle serve`: a line for each, such as `user:alice TOKEN`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.cli.terminal.failure import Failure

if TYPE_CHECKING:
    from treadle.http import Principal


def read_tokens(path: Path) -> "dict[str, Principal]":
    """Read the principals by their tokens; empty lines, and those that begin with #, are skipped.

    Raises:
        Failure: a line is none of a token; the message does not quote it.
    """
    from treadle import http

    roles: dict[str, Callable[[str], http.Principal]] = {
        "chat": http.chat_user,
        "user": http.user,
        "viewer": http.viewer,
        "operator": http.operator,
        "worker": http.worker,
        "admin": http.admin,
    }
    found: dict[str, http.Principal] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        who, _, token = line.strip().rpartition(" ")
        role, _, name = who.strip().partition(":")
        if role not in roles or not name or token in found:
            reason = f"it must be ROLE:NAME TOKEN, with a new token; roles: {', '.join(roles)}"
            raise Failure(f"{path}, line {number}: {reason}")
        found[token] = roles[role](name)
    if not found:
        raise Failure(f"{path} has no token")
    try:
        http.tokens(found)
    except ValueError as error:
        raise Failure(f"{path}: {error}") from error
    return found
