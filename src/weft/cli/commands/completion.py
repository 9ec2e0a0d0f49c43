"""`weft completion`: the script that lets a shell complete the command."""

import click
from click.shell_completion import get_completion_class

from weft.cli.terminal.failure import Failure
from weft.cli.terminal.help import ExampleCommand
from weft.cli.terminal.output import write_line


@click.command(
    "completion",
    cls=ExampleCommand,
    examples=(
        'eval "$(weft completion bash)"                              # in ~/.bashrc',
        'eval "$(weft completion zsh)"                               # in ~/.zshrc',
        "weft completion fish > ~/.config/fish/completions/weft.fish",
    ),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Write the script that completes `weft` in a shell.

    SHELL is bash, zsh or fish.
    """
    root = click.get_current_context().find_root()
    kind = get_completion_class(shell)
    if kind is None:
        raise Failure(f"there is no completion for {shell}; use bash, zsh or fish")
    script = kind(root.command, {}, "weft", "_WEFT_COMPLETE").source()
    write_line(script)
