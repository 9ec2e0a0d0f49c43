"""Warn of a public name that is in no page of the reference: `make docs` fails then."""

from collections.abc import Iterable
from importlib import import_module

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

MODULES = (
    "treadle",
    "treadle.blocking",
    "treadle.commands",
    "treadle.queries",
    "treadle.patches",
    "treadle.turns",
    "treadle.worker",
    "treadle.http",
    "treadle.testing",
    "treadle.backends.base",
    "treadle.backends.memory",
    "treadle.backends.model",
    "treadle.integrations.openai_chat",
    "treadle.integrations.anthropic_messages",
)
_KINDS = {"class", "data", "exception", "function", "type"}

_logger = logging.getLogger(__name__)


def warn_of_missing_names(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Compare what the modules say is public with the definitions in the pages.

    Names are without their modules: some are public in two, and documented in one.
    """
    entries = env.domains.python_domain.objects.items()
    documented = {name.rpartition(".")[2] for name, entry in entries if entry.objtype in _KINDS}
    for module in MODULES:
        for name in sorted(set(import_module(module).__all__) - documented):
            _logger.warning("%s.%s is public, and in no page of the reference", module, name)
    return ()


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension with Sphinx."""
    app.connect("env-updated", warn_of_missing_names)
    return {"parallel_read_safe": True}
