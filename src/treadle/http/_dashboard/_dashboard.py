"""The application: the API's checks for every page, a login, and errors as pages."""

from collections.abc import Collection
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from treadle.http._app import App, Audit, identify
from treadle.http._call import Redact
from treadle.http._dashboard._login import login_operations, with_token
from treadle.http._dashboard._pages import PAGES
from treadle.http._dashboard._rendering import (
    PAGE_HEADERS,
    here,
    is_refresh,
    is_stream,
    render_plain,
    root_of,
    url,
)
from treadle.http._dashboard._sections import sections_for
from treadle.http._errors import failure_of
from treadle.http._incoming import Incoming
from treadle.http._principals import Authenticate, Principal
from treadle.http._settings import Limits
from treadle.store.store import Store


class Dashboard(App):
    """The dashboard of a store as an ASGI application; see `treadle.http.dashboard`."""

    _has_forms = True

    def __init__(
        self,
        store: Store,
        *,
        authenticate: Authenticate,
        hosts: Collection[str],
        read_only: bool,
        limits: Limits,
        audit: Audit | None,
        redact: Redact,
    ) -> None:
        async def authenticate_browser(request: Request) -> Principal | None:
            principal = await identify(authenticate, request)
            by_cookie = with_token(cast("Incoming", request))
            if principal is None and by_cookie is not None:
                principal = await identify(authenticate, by_cookie)
            return principal

        super().__init__(
            store,
            (*PAGES, *login_operations(authenticate)),
            authenticate=authenticate_browser,
            hosts=hosts,
            read_only=read_only,
            limits=limits,
            audit=audit,
            redact=redact,
        )

    def _answer_to(
        self, request: Request, error: Exception, principal: Principal | None
    ) -> Response:
        failure = failure_of(error)
        if failure.status == 401:
            return _to_login(request)
        sees_all = principal is not None and principal.own is None
        response = render_plain(
            request,
            "error.html",
            failure.status,
            failure=failure,
            sections=sections_for(all_owners=sees_all),
            principal=principal,
        )
        response.headers.update(failure.headers)
        return response


def _to_login(request: Request) -> Response:
    """Send a browser to the login, and from there back to the page that it wants."""
    wanted = here(request).removeprefix(root_of(request))
    is_page = request.method == "GET" and wanted != "/"
    where = url(request, "login", next=wanted if is_page else None)
    # A refresh or a stream belongs to a page that is open: the whole page has to go there.
    if is_refresh(request) or is_stream(request):
        return Response(b"", 401, {**PAGE_HEADERS, "hx-redirect": where})
    return Response(b"", 303, {**PAGE_HEADERS, "location": where})
