"""Principals: who asks, whose data they may see, and what they may do with it."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias, get_args

import msgspec
from starlette.requests import Request

from treadle.http._incoming import headers_of

Action: TypeAlias = Literal[
    "read",
    "read_internal",
    "chat",
    "append",
    "send",
    "interrupt",
    "cancel",
    "pause",
    "requeue",
    "delete",
    "purge",
    "claim",
    "batch",
    "write_runs",
    "write_documents",
    "erase",
]
"""What a principal may do.

- "read": threads, runs, mailboxes, entries, documents.
- "read_internal": internal messages, even those in payloads; actions of change sets; tracebacks.
- "chat": request runs, with messages of the user, and answer those that wait.
- "append": create, change, truncate and fork threads. With "send", request runs with any messages.
- "send", "interrupt", "requeue": work of mailboxes.
- "cancel": end entries and runs.
- "pause": pause and resume mailboxes.
- "delete": threads, runs, mailboxes. "purge": what has ended. "erase": everything of an owner.
- "claim": claim entries and settle them. "batch": commit commands together.
- "write_runs", "write_documents": records of runs, documents.
"""

ALL_ACTIONS: Final[frozenset[Action]] = frozenset(get_args(Action))


class AllOwners(Enum):
    """The type of `ALL_OWNERS`."""

    ALL_OWNERS = "all owners"


ALL_OWNERS: Final = AllOwners.ALL_OWNERS
"""The owner of a principal that may see everything. It must be given explicitly, so that a missing
owner never means all of them."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The user or program that makes a request.

    Raises:
        ValueError: it has no id or no owner, or it may do something that is not an `Action`.
    """

    id: str
    """The name, for the audit."""
    owner: str | AllOwners
    """Only threads with this `resource_id`, what belongs to them, and documents whose keys begin
    with it; or `ALL_OWNERS`."""
    can: frozenset[Action]
    """The actions that are allowed."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"a principal needs an id, not {self.id!r}")
        if self.owner is not ALL_OWNERS and (not isinstance(self.owner, str) or not self.owner):
            raise ValueError(f"principal {self.id!r} needs an owner or ALL_OWNERS")
        unknown = set(self.can) - ALL_ACTIONS
        if unknown:
            raise ValueError(
                f"principal {self.id!r} can do {sorted(unknown)}, which are not actions"
            )

    @property
    def own(self) -> str | None:
        """The only owner whose data it may see; None: it may see all."""
        return self.owner if isinstance(self.owner, str) else None


Authenticate: TypeAlias = Callable[[Request], Principal | Awaitable[Principal | None] | None]
"""Returns who makes a request; None if that is not known: then the answer is 401."""

_VIEWER: tuple[Action, ...] = ("read", "read_internal")
_CHAT: tuple[Action, ...] = ("read", "chat", "interrupt")
_USER: tuple[Action, ...] = (
    "read",
    "chat",
    "append",
    "send",
    "interrupt",
    "cancel",
    "pause",
    "delete",
    "write_documents",
)
_OPERATOR: tuple[Action, ...] = (
    *_VIEWER,
    "chat",
    "append",
    "send",
    "interrupt",
    "cancel",
    "pause",
    "requeue",
    "purge",
)
_WORKER: tuple[Action, ...] = (
    *_VIEWER,
    "chat",
    "append",
    "send",
    "pause",
    "claim",
    "batch",
    "write_runs",
    "write_documents",
)


def chat_user(owner: str) -> Principal:
    """Return who may only chat in the threads of an owner, such as a browser.

    That is: request runs, with what a user says, answer those that wait, stop them, and read. They
    cannot write messages of the assistant, the system or a tool, change or remove what was said,
    or write payloads, states and documents.
    """
    return Principal(id=owner, owner=owner, can=frozenset(_CHAT))


def user(owner: str) -> Principal:
    """Return who may use the threads of an owner, and nothing else."""
    return Principal(id=owner, owner=owner, can=frozenset(_USER))


def viewer(id: str) -> Principal:
    """Return who may look at everything, and change nothing."""
    return Principal(id=id, owner=ALL_OWNERS, can=frozenset(_VIEWER))


def operator(id: str) -> Principal:
    """Return who may look at everything, and steer the work."""
    return Principal(id=id, owner=ALL_OWNERS, can=frozenset(_OPERATOR))


def worker(id: str) -> Principal:
    """Return who may claim work, and commit its results."""
    return Principal(id=id, owner=ALL_OWNERS, can=frozenset(_WORKER))


def admin(id: str) -> Principal:
    """Return who may do everything."""
    return Principal(id=id, owner=ALL_OWNERS, can=ALL_ACTIONS)


def tokens(principals: Mapping[str, Principal]) -> Authenticate:
    """Authenticate by bearer tokens: `Authorization: Bearer <token>`.

    Args:
        principals: the principals by their tokens.

    Raises:
        ValueError: a token is shorter than 16 characters, or not of letters, digits and -._~+/=.
    """
    for token in principals:
        if len(token) < 16 or not _is_token(token):
            raise ValueError("a token has at least 16 characters: letters, digits and -._~+/=")
    # Looked up by a hash, so that the time of a comparison says nothing about the tokens.
    by_hash = {_hash(token): principal for token, principal in principals.items()}

    def authenticate(request: Request) -> Principal | None:
        given = headers_of(request).all(b"authorization")
        if len(given) != 1:
            return None
        scheme, _, token = given[0].partition(" ")
        return by_hash.get(_hash(token)) if scheme.lower() == "bearer" else None

    return authenticate


def trusted_header(
    name: str,
    principal_of: Callable[[str], Principal | None] = user,
    *,
    proxies: Collection[str] = ("127.0.0.1", "::1"),
) -> Authenticate:
    """Authenticate by a header that a reverse proxy sets, such as `X-Forwarded-User`.

    The proxy must remove the header from what clients send. A request that does not come from one
    of the proxies, or that has the header twice, is refused. The server must not replace the
    address of the client by a forwarded one (uvicorn: `proxy_headers=False`). A value that is not
    in UTF-8 is refused.

    Args:
        name: the header.
        principal_of: returns the principal for a value of the header; None refuses it.
        proxies: the addresses of the proxies.
    """

    def authenticate(request: Request) -> Principal | None:
        given = request.headers.getlist(name)
        if request.client is None or request.client.host not in proxies or len(given) != 1:
            return None
        try:
            value = given[0].encode("latin-1").decode()  # Starlette takes all headers for Latin-1
        except UnicodeDecodeError:
            return None
        return principal_of(value) if value else None

    return authenticate


def everyone(principal: Principal) -> Authenticate:
    """Let everybody who reaches the server be this principal: for one's own machine, and tests."""
    return lambda request: principal


def _is_token(text: str) -> bool:
    return text.isascii() and all(each.isalnum() or each in "-._~+/=" for each in text)


def _hash(token: str) -> bytes:
    # As strong as SHA-256, which takes twice as long to set up: it comes from OpenSSL.
    return hashlib.blake2s(token.encode("utf-8", "surrogatepass")).digest()
