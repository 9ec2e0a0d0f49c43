"""JSON values on the command line."""

import click

from treadle.cli.terminal.input import read_input
from treadle.core.codec import Json
from treadle.errors import InvalidValue
from treadle.integrations.strict_json import read_json


def read_value(text: str, name: str) -> Json:
    """Return the JSON value of an argument; `-` reads it from standard input.

    Args:
        text: the argument.
        name: its name in the help, such as PAYLOAD.

    Raises:
        BadParameter: the argument is not JSON.
        InvalidValue: standard input is not.
    """
    if text == "-":
        return read_json(read_input(), name.lower())
    try:
        return read_json(text, name.lower())
    except InvalidValue as error:
        advice = f"{error.reason}; quote it for the shell, or use --text for plain text"
        raise click.BadParameter(advice, param_hint=f"'{name}'") from error
