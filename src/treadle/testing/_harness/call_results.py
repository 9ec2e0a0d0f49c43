"""What comes of a call, as JSON that can be compared: its result, or what its error tells."""

from collections.abc import Awaitable
from typing import Any

from treadle.core.codec import Model, to_plain
from treadle.core.commands import Receipt
from treadle.errors import TreadleError


async def result_or_error(call: Awaitable[Any]) -> Any:
    """What a call returns, or its error's kind and data; how the error words it is left open."""
    try:
        return plain(await call)
    except TreadleError as error:
        told = {name: plain(value) for name, value in vars(error).items() if _is_data(name)}
        return {"raises": type(error).__name__, **told}


def _is_data(name: str) -> bool:
    return not name.startswith("_") and name != "reason"


def plain(result: Any) -> Any:
    """A result as JSON."""
    match result:
        case Receipt():
            return plain(result.results)
        case Model():
            return to_plain(result)
        case tuple() | list():
            return [plain(item) for item in result]
        case _:
            return result
