"""`treadle serve`: serve a store over HTTP."""

import ipaddress
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

import treadle
from treadle.backends.urls import without_password
from treadle.cli import event_loop
from treadle.cli.commands.serve.tokens import read_tokens
from treadle.cli.logging import log_to_stderr
from treadle.cli.opening import check_possible, check_present
from treadle.cli.options import chosen_store, store_option
from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.notes import write_note

if TYPE_CHECKING:
    from treadle.http import Audited, Authenticate

_log = logging.getLogger("treadle.serve")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")


@click.command(
    "serve",
    cls=ExampleCommand,
    examples=(
        "treadle serve                                       # for this machine only",
        "treadle serve --host 0.0.0.0 --host-name agents.example --tokens tokens.txt",
        "treadle serve --user-header X-Forwarded-User --host-name agents.example",
    ),
)
@store_option()
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="The port; 0 is any that is free.",
)
@click.option(
    "--tokens",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Who may do what: a line for each token, such as `user:alice TOKEN`.",
)
@click.option(
    "--user-header",
    metavar="NAME",
    help="A header in which the reverse proxy names the owner who makes the request.",
)
@click.option(
    "--user-role",
    type=click.Choice(["user", "chat"]),
    default="user",
    show_default=True,
    help="What that owner may do: everything with their data, or only chat.",
)
@click.option(
    "--proxy",
    "proxies",
    metavar="ADDRESS",
    multiple=True,
    default=("127.0.0.1", "::1"),
    show_default=True,
    help="The address of the reverse proxy; may be given several times.",
)
@click.option(
    "--host-name",
    "host_names",
    metavar="NAME",
    multiple=True,
    help="A name that the server answers to, beside localhost; may be given several times.",
)
@click.option(
    "--root-path",
    metavar="PATH",
    default="",
    help="The path that the reverse proxy cuts off, such as /treadle; links begin with it.",
)
@click.option("--read-only", is_flag=True, help="Refuse everything that changes something.")
def serve(
    host: str,
    port: int,
    tokens: Path | None,
    user_header: str | None,
    user_role: str,
    proxies: tuple[str, ...],
    host_names: tuple[str, ...],
    root_path: str,
    read_only: bool,
) -> None:
    """Serve a store over HTTP.

    It is for browsers, programs in other languages, and workers on other machines. At `/` it has a
    dashboard: what waits, what is stuck, and every conversation. It listens at this machine only,
    and everybody here may do everything, unless --tokens or --user-header says who may. Roles of
    tokens are chat (an owner's conversations), user (their data), viewer, operator, worker and
    admin. After SIGTERM or Ctrl-C, streams end, and requests are answered.
    """
    _check_rights(host, tokens, user_header)
    if root_path and not _ROOT_PATH.fullmatch(root_path):
        raise click.UsageError(f"--root-path must be a path such as /treadle, not {root_path!r}")
    url = chosen_store()
    if read_only:
        check_present(url)
    else:
        check_possible(url)
    authenticate = _authenticate_by(tokens, user_header, user_role, proxies)
    log_to_stderr("text", verbose=False)
    names = (host, *host_names)
    serving = _serve(url, authenticate, names, host, port, root_path, read_only=read_only)
    event_loop.run(serving)


async def _serve(
    url: str,
    authenticate: "Authenticate",
    names: tuple[str, ...],
    host: str,
    port: int,
    root_path: str,
    *,
    read_only: bool,
) -> None:
    from treadle import http

    def say_where(where: str) -> None:
        write_note(f"treadle: serving {without_password(url)} at {where}")

    async with treadle.open_store(url, read_only=read_only) as store:
        apps = [
            make(
                store,
                authenticate=authenticate,
                hosts=(*http.LOOPBACK, *names),
                read_only=read_only,
                audit=_log_audited,
            )
            for make in (http.app, http.dashboard)
        ]
        try:
            await http.serve(
                apps[0],
                dashboard=apps[1],
                host=host,
                port=port,
                root_path=root_path,
                on_start=say_where,
            )
        except OSError as error:
            raise Failure(f"cannot listen at {host} port {port}: {error}") from error


def _check_rights(host: str, tokens: Path | None, user_header: str | None) -> None:
    if tokens is not None and user_header is not None:
        raise click.UsageError("give --tokens or --user-header, not both")
    if tokens is None and user_header is None and not _is_loopback(host):
        raise click.UsageError(
            f"at {host} everybody could do everything; say who may with --tokens or --user-header"
        )


def _authenticate_by(
    tokens: Path | None, user_header: str | None, user_role: str, proxies: tuple[str, ...]
) -> "Authenticate":
    try:
        from treadle import http
    except ImportError as error:
        advice = "in Treadle's folder, run: pip install '.[http]'"
        raise Failure(f"treadle serve needs more packages; {advice}") from error
    if tokens is not None:
        return http.tokens(read_tokens(tokens))
    if user_header is not None:
        principal_of = http.chat_user if user_role == "chat" else http.user
        return http.trusted_header(user_header, principal_of, proxies=proxies)
    return http.everyone(http.admin("local"))


def _log_audited(audited: "Audited") -> None:
    who = "-" if audited.principal is None else audited.principal.id
    target = " ".join(audited.ids.values())
    _log.info("%s %s %s %s", audited.status, who, audited.operation, target)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
