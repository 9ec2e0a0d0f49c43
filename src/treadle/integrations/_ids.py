"""Ids of threads and collections that are made of the ids of another program."""

import hashlib
from functools import lru_cache
from urllib.parse import quote

from treadle.core.ids import is_id


@lru_cache(maxsize=1024)
def joined_id(*parts: str) -> str:
    """Return an id for a thread or a collection that is made of texts of any kind.

    Different texts give different ids. The id shows them, unless that would be too long, or no id:
    then it shows the first one, if that is possible, and ends with a hash of them.
    """
    whole = ".".join(map(_escaped, parts))
    if is_id(whole):
        return whole
    # No escaped text has a "~", so no other text gives this id.
    end = f"~{hashlib.sha256(whole.encode()).hexdigest()}"
    with_first = f"{_escaped(parts[0])}.{end}"
    return with_first if is_id(with_first) else end


def _escaped(text: str) -> str:
    """Return a text without dots; an empty one becomes "%", as an id has no two dots together."""
    # A lone surrogate gives an id, too; what is stored under it says that it cannot be.
    quoted = quote(text, safe="@", errors="surrogatepass")
    return quoted.replace(".", "%2E").replace("~", "%7E") or "%"
