"""An adapter says what to install if its framework is missing, as it is where these tests run."""

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "extra", ["agent-framework", "chatkit", "google-adk", "openai-agents", "pydantic-ai"]
)
def test_an_adapter_says_which_extra_it_needs(extra: str) -> None:
    with pytest.raises(ImportError, match=rf"pip install '\.\[{extra}\]'"):
        import_module(f"treadle.integrations.{extra.replace('-', '_')}")
