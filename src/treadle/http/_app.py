"""The application: every request goes through the same checks, in the same order."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias, cast

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from treadle.http._call import Call, Redact, show_all
from treadle.http._connection_end import check_framing, closing
from treadle.http._errors import Refused, answer_to
from treadle.http._event_stream import EventStream
from treadle.http._incoming import Headers, Incoming
from treadle.http._input import parameters_of, read_body, read_query
from treadle.http._operation import Operation, check_operation
from treadle.http._principals import Action, Authenticate, Principal
from treadle.http._rebuilding import Rebuilding
from treadle.http._routing import Route, Router, allowed, segments_of
from treadle.http._security import check_host, check_origin, in_url
from treadle.http._settings import Limits
from treadle.http._streams import Streams
from treadle.http._thread_checks import ThreadChecks
from treadle.store.store import Store


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was answered, for an audit."""

    principal: Principal | None
    """Who made it; None if it was refused before that was known."""
    action: Action | None
    """What it needed the right to do; None: it is open to everybody, or names no operation."""
    operation: str
    """The method and the path, such as `POST /v1/entries/{entry_id}/cancel`."""
    ids: dict[str, str]
    """What it was about: the parameters of the path."""
    status: int
    """The status of the answer."""


Audit: TypeAlias = Callable[[Audited], object]
"""Is called with each request that changes something or is refused, before it is answered."""


class _Progress:
    """How far a request has come, for the audit."""

    def __init__(self) -> None:
        self.route: Route | None = None
        self.ids: dict[str, str] = {}
        self.principal: Principal | None = None


class App:
    """The API of a store as an ASGI application; see `treadle.http.app`."""

    _has_forms = False
    """Whether queries come from forms, in which an empty field says nothing."""

    def __init__(
        self,
        store: Store,
        operations: Sequence[Operation],
        *,
        authenticate: Authenticate,
        hosts: Collection[str],
        read_only: bool,
        limits: Limits,
        audit: Audit | None,
        redact: Redact = show_all,
    ) -> None:
        for operation in operations:
            check_operation(operation)
        self.streams = Streams()
        """The open streams; end them before the server stops."""
        self.rebuilding = Rebuilding()
        """How it rebuilds the states of threads."""
        self.first_segments = frozenset(each.path.split("/")[1] for each in operations)
        """How the paths of its operations begin."""
        self._thread_checks = ThreadChecks(store)
        self._store = store
        self._router = Router(operations)
        self._authenticate = authenticate
        self._hosts = frozenset(in_url(host.lower()) for host in hosts)
        self._read_only = read_only
        self._limits = limits
        self._audit = audit
        self._redact = redact

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case other:
                raise RuntimeError(f"the API speaks HTTP only, not {other}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        progress = _Progress()
        request = Incoming(scope, receive, self._limits)
        try:
            response = await self._respond(request, progress)
        except ClientDisconnect:
            return
        except Exception as error:
            response = self._answer_to(request, error, progress.principal)
            if isinstance(error, Refused) and error.closes:
                send = closing(request, response, send, self._limits.body_bytes)
        try:
            if self._audit is not None:
                self._report(self._audit, request, progress, response)
            if scope["method"] == "HEAD":
                start = {"type": "http.response.start", "status": response.status_code}
                await send({**start, "headers": response.raw_headers})
                await send({"type": "http.response.body", "body": b""})
            else:
                await response(scope, receive, send)
        finally:
            if isinstance(response, EventStream):
                await response.close()

    async def _respond(self, request: Incoming, progress: _Progress) -> Response:
        check_framing(request)
        check_host(request.given, self._hosts)
        route, ids = self._find(request)
        progress.route, progress.ids = route, ids
        operation = route.operation
        if operation.owner.is_public:
            principal = _NOBODY
        else:
            principal = progress.principal = await self._identify(request)
        self._check_rights(request, route, principal)
        query = read_query(
            request.scope["query_string"], route.parameters, ids, skip_empty=self._has_forms
        )
        call = Call(
            store=self._store,
            principal=principal,
            ids=ids,
            query=query,
            body=await self._read_body(request, operation, ids),
            request=request,
            limits=self._limits,
            streams=self.streams,
            thread_checks=self._thread_checks,
            rebuilding=self.rebuilding,
            read_only=self._read_only,
            redact=self._redact,
        )
        own = principal.own
        if own is not None:
            call = await operation.owner.apply(call, own)
        return await operation.handle(call)

    def _find(self, request: Incoming) -> tuple[Route, dict[str, str]]:
        segments = segments_of(request.scope)
        routes = self._router.find(segments)
        if routes is None:
            raise Refused(404, "no_such_route", "there is nothing at this path")
        method = request.scope["method"]
        route = routes.get("GET" if method == "HEAD" else method)
        if route is None:
            methods = allowed(routes)
            raise Refused(405, "method_not_allowed", f"use {methods}", {"allow": methods})
        return route, route.ids_in(segments)

    async def _identify(self, request: Request) -> Principal:
        principal = await identify(self._authenticate, request)
        if principal is None:
            scheme = {"www-authenticate": "Bearer"}
            raise Refused(401, "unauthorized", "say who you are: send your token", scheme)
        return principal

    def _answer_to(
        self, request: Request, error: Exception, principal: Principal | None
    ) -> Response:
        return answer_to(error)

    def _check_rights(self, request: Incoming, route: Route, principal: Principal) -> None:
        operation = route.operation
        if not route.is_safe:
            check_origin(request.given)
            if self._read_only and not operation.is_about_browser:
                raise Refused(403, "read_only", "the server only reads")
        if operation.action is not None and operation.action not in principal.can:
            raise Refused(403, "forbidden", f"{principal.id} may not {operation.action}")

    async def _read_body(self, request: Incoming, operation: Operation, ids: dict[str, str]) -> Any:
        if operation.form is not None:
            data = await self._receive(request, operation, "application/x-www-form-urlencoded")
            return read_query(data, parameters_of(operation.form, ()), ids, skip_empty=True)
        if operation.body is not None:
            data = await self._receive(request, operation, "application/json")
            return read_body(data, operation.body, ids)
        return None

    async def _receive(self, request: Incoming, operation: Operation, kind: str) -> bytes:
        data = await request.whole()
        if data or not operation.body_is_optional:
            _check_content_type(request.given, kind)
        return data

    def _report(
        self, audit: Audit, request: Incoming, progress: _Progress, response: Response
    ) -> None:
        route = progress.route
        if route is not None and route.is_safe and response.status_code < 400:
            return
        audit(
            Audited(
                principal=progress.principal,
                action=None if route is None else route.operation.action,
                operation=request.method if route is None else route.name,
                ids=progress.ids,
                status=response.status_code,
            )
        )


_NOBODY = Principal(id="nobody", owner="nobody", can=frozenset())
"""The principal of a call of a public operation."""


async def identify(authenticate: Authenticate, request: Request) -> Principal | None:
    """Return who makes a request; None if that is not known.

    Raises:
        TypeError: `authenticate` returned something else than a principal.
    """
    found = authenticate(request)
    if isinstance(found, Principal):
        return found
    principal = await found if isinstance(found, Awaitable) else found
    if principal is not None and not isinstance(principal, Principal):
        raise TypeError(f"authenticate returned {principal!r}, which is no Principal")
    return principal


def _check_content_type(headers: Headers, wanted: str) -> None:
    given = headers.first(b"content-type") or ""
    if given == wanted:
        return
    kind, _, parameter = given.lower().partition(";")
    charset = parameter.replace(" ", "").replace('"', "")
    if kind.strip() != wanted or charset not in ("", "charset=utf-8"):
        reason = f"the body must be {wanted}, in UTF-8"
        raise Refused(415, "unsupported_media_type", reason)


async def _live(receive: Receive, send: Send) -> None:
    """Answer the messages of the lifespan protocol; the store is opened elsewhere."""
    while True:
        message = cast("str", (await receive())["type"])
        await send({"type": f"{message}.complete"})
        if message == "lifespan.shutdown":
            return
