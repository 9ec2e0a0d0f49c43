"""Objects that users name as `module:name`; modules in the current folder are found too."""

import importlib
import os
import sys
from functools import reduce
from traceback import format_exception
from typing import Any, cast

from treadle.cli.terminal.failure import Failure
from treadle.errors import InvalidValue
from treadle.worker import Handler, check_handler


def load_handler(target: str) -> Handler:
    """Return the handler that `target` names, such as `my_agent:handle`.

    Raises:
        Failure: there is no such handler.
    """
    handler = load(target, "handler", "my_agent:handle")
    if not callable(handler):
        raise Failure(f"{target!r} is not a function; a handler is `async def handle(delivery)`")
    try:
        check_handler(handler)
    except InvalidValue as error:
        reason = f"{target!r} is not a handler: {error.reason}; write `async def handle(delivery)`"
        raise Failure(reason) from error
    return cast("Handler", handler)


def load(target: str, what: str, example: str) -> Any:
    """Return the object that `target` names.

    Args:
        target: `module:name`, where the name may have dots.
        what: a word for the object, for errors.
        example: a valid target, for errors.

    Raises:
        Failure: there is no such object.
    """
    module_name, separator, path = target.partition(":")
    if not (module_name and separator and path):
        raise Failure(f"{target!r} does not name a {what}; write module:{what}, such as {example}")
    module = _import(module_name)
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as error:
        reason = f"module {module_name!r} has no {path!r}; check the name after the colon"
        raise Failure(reason) from error


def _import(name: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # An import inside the module failed: that is an error of the module.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, error) from error
        reason = f"there is no module {error.name!r}, neither in {here} nor installed"
        raise Failure(f"{reason}; check the name before the colon, and the folder") from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> Failure:
    """Return the failure of a module that raised as it was imported, with its own frames."""
    trace = error.__traceback__
    # Those of what imports the module are of no use to its author.
    while trace is not None and trace.tb_frame.f_code.co_name != "<module>":
        trace = trace.tb_next
    text = "".join(format_exception(type(error), error, trace))
    what, _, _ = f"{type(error).__name__}: {error}".partition("\n")
    return Failure(f"module {name!r} cannot be imported: {what}", trace=text)
