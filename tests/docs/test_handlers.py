"""The README, the tutorial and the guide show handlers of one shape."""

import ast
import re

import pytest

from tests.tidy.tree import ROOT

PAGES = ["README.md", "docs/tutorial/first-agent.md", "docs/how-to/write-an-agent.md"]


@pytest.mark.parametrize("page", PAGES)
def test_every_handler_is_async_and_commits_with_its_delivery(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    tree = compile(code, page, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    functions = [
        each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    handlers = [each for each in functions if "Delivery" in ast.unparse(each.args)]
    assert handlers
    for handler in handlers:
        assert isinstance(handler, ast.AsyncFunctionDef)
        assert ast.unparse(handler.args) == "delivery: Delivery"
    assert "async with delivery.batch(" in ast.unparse(handlers[0])
