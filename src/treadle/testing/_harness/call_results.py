"""Results of calls as JSON that can be compared: a value, or the data of an error."""

from collections.abc import Awaitable
from typing import Any

from treadle.core.codec import Model, to_plain
from treadle.core.commands import Receipt
from treadle.errors import TreadleError


async def result_or_error(call: Awaitable[Any]) -> Any:
    """Return the result of a call, or the kind and data of its error, without its wording."""
    try:
        return plain(await call)
    except TreadleError as error:
        data = {name: plain(value) for name, value in vars(error).items() if _is_data(name)}
        return {"raises": type(error).__name__, **data}


def _is_data(name: str) -> bool:
    return not name.startswith("_") and name != "reason"


def plain(result: Any) -> Any:
    """Return a result as JSON."""
    match result:
        case Receipt():
            return plain(result.results)
        case Model():
            return to_plain(result)
        case tuple() | list():
            return [plain(item) for item in result]
        case _:
            return result
