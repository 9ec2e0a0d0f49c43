"""What is checked of every request before anything else: its host, and where it comes from."""

from collections.abc import Collection
from functools import lru_cache

from treadle.http._errors import Refused
from treadle.http._incoming import Headers

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of one's own machine."""


def in_url(host: str) -> str:
    """Return the name of a host as URLs and the header `Host` have it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def check_host(headers: Headers, hosts: Collection[str]) -> None:
    """Refuse a request to another host than those that are known.

    Otherwise a page of another site whose name leads here (DNS rebinding) could ask in the name of
    its reader.

    Raises:
        Refused: with 403.
    """
    if "*" in hosts:
        return
    given = headers.all(b"host")
    if len(given) != 1 or _name_of(given[0]) not in hosts:
        reason = (
            "the server does not answer to this host; name it: hosts=[...] of the application, "
            "or treadle serve --host-name"
        )
        raise Refused(403, "host_not_allowed", reason)


def check_origin(headers: Headers) -> None:
    """Refuse a request that changes something and comes from a page of another site.

    Browsers send such requests with the cookies, or from the network, of their users, and with the
    passwords that they know (`Authorization: Basic`). A request with a bearer token is none of
    these; nor is one without `Sec-Fetch-Site` and `Origin`, as every browser sends one of them.

    Raises:
        Refused: with 403.
    """
    if (headers.first(b"authorization") or "").lower().startswith("bearer "):
        return
    site, origin = headers.first(b"sec-fetch-site"), headers.first(b"origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or origin.partition("://")[2] == headers.first(b"host")
    if not is_own:
        raise Refused(403, "other_site", "the request comes from a page of another site")


@lru_cache(maxsize=16)  # few names reach a server, from many clients
def _name_of(host: str) -> str:
    """The host without its port, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
