"""The page that helps with errors knows them all, and no others."""

import re

import treadle
from tests.docs.documents import document
from treadle import TreadleError


def test_the_page_about_repairs_says_what_to_do_with_each_error() -> None:
    _, _, errors = document("how-to/inspect-and-repair.md").partition("## Errors")
    told = re.findall(r"^\| `(\w+)` \|", errors, re.MULTILINE)
    raised = [name for name in treadle.__all__ if _is_error(getattr(treadle, name))]
    assert told == [*sorted(raised), "TimeoutError"]


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, TreadleError) and value is not TreadleError
