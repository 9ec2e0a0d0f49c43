"""Rendering: a template and values become a page, with what every page needs."""

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from treadle.clock import system_clock
from treadle.core.codec import Json, to_plain
from treadle.core.runs import asks_nobody
from treadle.http._call import Call
from treadle.http._dashboard import _formats
from treadle.http._dashboard._sections import sections_for
from treadle.http._dashboard._static_files import STATIC_FILES
from treadle.http._principals import Action
from treadle.http._responses import SAFE_HEADERS

PAGE_HEADERS = {
    **SAFE_HEADERS,
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
"""The headers of every page."""

TOKEN_COOKIE = "treadle-token"
_SAID_COOKIE = "treadle-said"
_THEME_COOKIE = "treadle-theme"
_ROOM = 100_000
"""Most characters of values on a page; after them, values are cut to the shortest length."""
_SHORTEST = 80
_READING: tuple[Action, ...] = ("read", "read_internal")


_FILTERS: dict[str, Callable[..., Any]] = {
    "absolute": _formats.absolute,
    "asks_nobody": asks_nobody,
    "literal": _formats.literal,
    "machine": _formats.machine,
    "number": _formats.number,
    "plain": to_plain,
    "relative": _formats.relative,
    "shell": shlex.quote,
    "size": _formats.size,
    "span": _formats.span,
}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("treadle.http._dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_formats.visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(_FILTERS)
    return environment


_ENVIRONMENT = _environment()


def render(call: Call, template: str, status: int = 200, **values: Any) -> Response:
    """Return the page that a template makes of values.

    Args:
        call: the call that is answered.
        template: the name of the template.
        status: the status of the answer.
        values: what the template needs beside what every one has.
    """

    def can(action: Action) -> bool:
        return call.can(action) and (action in _READING or not call.read_only)

    room = _ROOM

    def cut(value: Json, longest: int = _formats.LONGEST) -> _formats.Shown:
        nonlocal room
        found = _formats.shown(value, min(longest, max(room, _SHORTEST)))
        room -= len(found.text)
        return found

    def shown(kind: str, value: Json, longest: int = _formats.LONGEST) -> _formats.Shown:
        return cut(call.redact(kind, value), longest)

    own = call.principal.own
    sections = sections_for(all_owners=own is None)
    known = {"can": can, "shown": shown, "cut": cut, "own": own, "principal": call.principal}
    return render_plain(
        call.request, template, status, sections=sections, call=call, **known, **values
    )


def render_plain(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page for a request that nobody is known to have made, such as that of an error."""
    # A refresh replaces a part of the page that has no place for what was said. It may come between
    # an action and the page behind it, which needs the cookie.
    said = None if is_refresh(request) else cookie_of(request, _SAID_COOKIE)
    theme = cookie_of(request, _THEME_COOKIE)
    page = _ENVIRONMENT.get_template(template).render(
        {
            "url": partial(url, request),
            "here": partial(here, request),
            "path": path_of(request),
            "static": partial(_static_url, request),
            "has_logged_in": cookie_of(request, TOKEN_COOKIE) is not None,
            "said": None if said is None else unquote(said),
            "theme": theme if theme in ("light", "dark") else None,
            "now": system_clock(),
            "sections": (),
            "principal": None,
            **values,
        }
    )
    response = Response(page, status, PAGE_HEADERS, "text/html")
    if said is not None:
        response.delete_cookie(_SAID_COOKIE, path=cookie_path(request))
    return response


def raw(call: Call, kind: str, value: Json) -> Response:
    """Return a value as plain text, all of it, after the hook that redacts."""
    return raw_redacted(call.redact(kind, value))


def raw_redacted(value: Json) -> Response:
    """The same for a value that is redacted already."""
    text = value if isinstance(value, str) else _formats.json_text(value)
    return Response(str(_formats.visible(text)), 200, PAGE_HEADERS, "text/plain")


def redirect(call: Call, *segments: str, said: str | None = None, **query: Any) -> Response:
    """Return the answer to a form: the page to go to, and what it says there was done."""
    return redirect_to(call.request, url(call.request, *segments, **query), said)


def redirect_to(request: Request, where: str, said: str | None = None) -> Response:
    """The same, to a URL of the dashboard."""
    response = Response(b"", 303, {**PAGE_HEADERS, "location": where})
    if said is not None:
        path = cookie_path(request)
        response.set_cookie(
            _SAID_COOKIE,
            quote(said, safe=""),
            max_age=60,
            path=path,
            httponly=True,
            samesite="lax",
        )
    return response


def is_refresh(request: Request) -> bool:
    """Return whether an open page asks for itself again, to replace a part of it."""
    return "hx-request" in request.headers


def is_stream(request: Request) -> bool:
    """Return whether an open page asks for its events."""
    return "text/event-stream" in request.headers.get("accept", "")


def root_of(request: Request) -> str:
    """Return the path at which the dashboard is mounted, as URLs have it, without a slash."""
    return quote(request.scope.get("root_path", "").rstrip("/"))


def path_of(request: Request) -> str:
    """Return the path that is asked for, as URLs have it."""
    path, root = quote(request.scope["path"]), root_of(request)
    # A proxy that cuts the prefix off says it in root_path only.
    return path if path.startswith(f"{root}/") else root + path


def cookie_of(request: Request, name: str) -> str | None:
    """Return the value of a cookie, or None.

    Of two with one name, it is that with the longer path, which browsers send first: a dashboard at
    `/a` must not get the cookie of another one at `/`.
    """
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            given, _, value = pair.strip().partition("=")
            if given == name:
                return value
    return None


def cookie_path(request: Request) -> str:
    """Return the path of the dashboard's cookies."""
    return root_of(request) or "/"


def url(request: Request, *segments: str, **query: Any) -> str:
    """Return the URL of a page; what is None in the query is left out."""
    path = "/".join(quote(segment, safe="") for segment in segments)
    return f"{root_of(request)}/{path}{_query(query)}"


def here(request: Request, **changes: Any) -> str:
    """Return the URL of the page that is asked for, with changes of its query."""
    raw = request.scope["query_string"].decode("ascii", "replace")
    query: dict[str, Any] = {name: text for name, text in parse_qsl(raw) if text}
    return path_of(request) + _query({**query, **changes})


def _query(query: Mapping[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _static_url(request: Request, name: str) -> str:
    return url(request, "static", name, v=STATIC_FILES[name].version)
