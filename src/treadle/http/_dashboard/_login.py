"""Logging in: who has a token gets a cookie with it, for the pages of the dashboard only."""

import re
from typing import cast
from urllib.parse import quote, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from treadle.http._app import identify
from treadle.http._call import Call
from treadle.http._dashboard._rendering import (
    TOKEN_COOKIE,
    cookie_of,
    cookie_path,
    redirect,
    redirect_to,
    render_plain,
    root_of,
)
from treadle.http._incoming import Incoming
from treadle.http._operation import Operation
from treadle.http._owners import PUBLIC
from treadle.http._principals import Authenticate

_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path that no browser takes for another host."""


class LoginQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go after the login."""

    next: str | None = None


class LoginForm(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who logs in has entered."""

    token: str = ""
    next: str | None = None


def with_token(request: Incoming) -> Incoming | None:
    """Return a request as if its cookie were its token; None if it has no cookie."""
    token = cookie_of(request, TOKEN_COOKIE)
    return None if token is None else _authorized(request, unquote(token))


def _authorized(request: Incoming, token: str) -> Incoming:
    headers = [each for each in request.scope["headers"] if each[0] != b"authorization"]
    bearer = (b"authorization", b"Bearer " + token.encode("utf-8", "replace"))
    return request.with_headers([*headers, bearer])


async def _show(call: Call) -> Response:
    return render_plain(call.request, "login.html", next=call.query.next, is_wrong=False)


def login_operations(authenticate: Authenticate) -> tuple[Operation, ...]:
    """Return the operations that log in and out.

    Args:
        authenticate: returns who has the token of a request.
    """

    async def log_in(call: Call) -> Response:
        form, request = cast("LoginForm", call.body), call.request
        token = form.token.strip()
        if await identify(authenticate, _authorized(request, token)) is None:
            return render_plain(request, "login.html", 401, next=form.next, is_wrong=True)
        is_local = form.next is not None and _LOCAL_PATH.fullmatch(form.next)
        response = redirect_to(request, root_of(request) + (form.next or "/" if is_local else "/"))
        response.set_cookie(
            TOKEN_COOKIE,
            quote(token, safe=""),
            path=cookie_path(request),
            secure=_is_encrypted(request),
            httponly=True,
            samesite="lax",
        )
        return response

    return (
        Operation(
            method="GET",
            path="/login",
            summary="Ask for a token.",
            action=None,
            owner=PUBLIC,
            query=LoginQuery,
            handle=_show,
        ),
        Operation(
            method="POST",
            path="/login",
            summary="Keep a token in a cookie, if it is one.",
            action=None,
            owner=PUBLIC,
            form=LoginForm,
            is_about_browser=True,
            handle=log_in,
        ),
        Operation(
            method="POST",
            path="/logout",
            summary="Remove the cookie.",
            action=None,
            owner=PUBLIC,
            is_about_browser=True,
            handle=_log_out,
        ),
    )


def _is_encrypted(request: Request) -> bool:
    """Return whether the browser speaks https, to this server or to a proxy before it."""
    # Several proxies make a list, and the first one is that of the browser.
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0]
    return "https" in (request.url.scheme, forwarded.strip().lower())


async def _log_out(call: Call) -> Response:
    response = redirect(call, "login")
    response.delete_cookie(TOKEN_COOKIE, path=cookie_path(call.request))
    return response
