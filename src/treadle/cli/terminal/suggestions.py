"""What somebody meant who named a command that does not exist."""

from collections.abc import Iterator
from difflib import get_close_matches

import click

_MOST = 4
"""How many commands are suggested at most."""


def unknown_command(context: click.Context, name: str) -> click.UsageError:
    """Return the error for a name that is not a command of the group of `context`.

    It suggests commands of the same or a similar name, here or in another group: first those of
    exactly this name.
    """
    message = f"No such command {name!r}."
    root = context.find_root()
    known = list(_commands(root, root.command_path))
    names = get_close_matches(name, {path.split()[-1] for path in known}, n=_MOST, cutoff=0.7)
    group = f"{context.command_path} "
    found = [
        path
        for near in names
        for path in sorted(known, key=lambda path: not path.startswith(group))
        if path.split()[-1] == near
    ]
    if not found:
        return click.UsageError(message, context)
    choice = " or ".join(f"`{path}`" for path in found[:_MOST])
    return click.UsageError(f"{message} Did you mean {choice}?", context)


def _commands(context: click.Context, path: str) -> Iterator[str]:
    """Yield the paths of all commands below a group."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield f"{path} {name}"
            yield from _commands(click.Context(command, context, name), f"{path} {name}")
