"""`treadle completion`: write the script with which a shell completes the command."""

import click
from click.shell_completion import get_completion_class

from treadle.cli.terminal.failure import Failure
from treadle.cli.terminal.help import ExampleCommand
from treadle.cli.terminal.output import write_line


@click.command(
    "completion",
    cls=ExampleCommand,
    examples=(
        'eval "$(treadle completion bash)"                              # in ~/.bashrc',
        'eval "$(treadle completion zsh)"                               # in ~/.zshrc',
        "treadle completion fish > ~/.config/fish/completions/treadle.fish",
    ),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Write the script that completes `treadle` in a shell.

    SHELL is bash, zsh or fish.
    """
    root = click.get_current_context().find_root()
    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise Failure(f"there is no completion for {shell}; use bash, zsh or fish")
    script = completion_class(root.command, {}, "treadle", "_TREADLE_COMPLETE").source()
    write_line(script)
