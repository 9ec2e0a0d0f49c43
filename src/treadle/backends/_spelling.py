"""Habits of other libraries, and typos, that would quietly become a second, empty store."""

import os
import re

_ESCAPES = "in a name that really has it, write it as Path.as_uri() does, with % escapes"
_BOUNDARY = r"[\s'\"`“”\u2018\u2019\u200b-\u200f\ufeff]"

_EVERYWHERE = (
    (r":memory:|(?:^|/)memory:|mode=memory", "a store in memory is 'memory:'"),
    (r"[\x00-\x1f\x7f-\x9f]", f"it has a control character; {_ESCAPES}"),
    (
        rf"^{_BOUNDARY}|{_BOUNDARY}$",
        f"it begins or ends with a quote or white space; {_ESCAPES}",
    ),
    (r"\$[\w{(]", f"'$' begins a variable, which only a shell replaces; {_ESCAPES}"),
)
_ON_POSIX = (
    (r"^/*[A-Za-z]:", f"it is a path of Windows, which this is not; {_ESCAPES}"),
    (r"\\", f"a backslash separates no folders on this system, '/' does; {_ESCAPES}"),
)
_IN_PATHS = (
    (r"://|^(?i:memory|sqlite|postgres(?:ql)?|file)//", "it is no URL that Treadle knows"),
    (r"^(?:host|hostaddr|dbname|user|port|service)=", "write 'postgresql://user@host/database'"),
    (r"\?[\w.]+=", f"a path takes no parameters; {_ESCAPES}"),
    (r"%\w", f"'%' begins an escape or a variable, which a path has none of; {_ESCAPES}"),
)
_IN_URLS = (
    (r"[?#]", "it takes no parameters; in a name, '?' is %3F and '#' is %23"),
    (r"^/*[A-Za-z][A-Za-z0-9+.-]+:", f"it has two schemes; {_ESCAPES}"),
    (r"%(?![0-9A-Fa-f]{2})", "'%' begins an escape; in a name, it is %25"),
)


def find_habit_in_path(text: str) -> str | None:
    """Return advice if a plain path is more likely a habit or a typo, else None."""
    return _find(text, _IN_PATHS)


def find_habit_in_url(rest: str) -> str | None:
    """Return the same for what follows `file:` or `sqlite:` in a URL."""
    return _find(rest, _IN_URLS)


def _find(text: str, more: tuple[tuple[str, str], ...]) -> str | None:
    posix = () if os.name == "nt" else _ON_POSIX
    habits = (*_EVERYWHERE, *more, *posix)
    return next((advice for pattern, advice in habits if re.search(pattern, text)), None)
