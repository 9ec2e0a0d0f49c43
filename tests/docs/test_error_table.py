"""The page that helps with errors lists all of them, and no others."""

import re

import treadle
from tests.docs.documents import document
from treadle import TreadleError


def test_the_page_about_repairs_lists_each_error() -> None:
    _, _, errors = document("how-to/inspect-and-repair.md").partition("## Errors")
    listed = re.findall(r"^\| `(\w+)` \|", errors, re.MULTILINE)
    raised = [name for name in treadle.__all__ if _is_error(getattr(treadle, name))]
    assert listed == [*sorted(raised), "TimeoutError"]


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, TreadleError) and value is not TreadleError
